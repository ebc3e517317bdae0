import {constants} from 'node:fs';
import {access, stat} from 'node:fs/promises';
import type {Kernel, Launcher} from '../../../native/native.js';
import type {HandlerOptions, RuntimeHandler} from '../handler.js';
import {OciPod} from './pod.js';

const PROBE_TIMEOUT_MS = 10_000;
const MAX_PROBE_BYTES = 4096;

/**
 * Type `oci`: runc, crun, and what else has their command line. The pod is a monitor's, as natively.
 *
 * Features: binds are made read-only as natively, before the runtime sees them. User namespaces it has none: the pod's would have to be joined over id-mapped
 * layers, which these runtimes' versions do not do.
 */
export async function openOciHandler(options: HandlerOptions, parts: {readonly launcher: Launcher; readonly kernel: Kernel}): Promise<RuntimeHandler> {
	const {launcher, kernel} = parts;
	return {
		name: options.name,
		type: 'oci',
		features: {recursiveReadOnlyMounts: true, userNamespaces: false},
		problem: await findProblem(options, kernel),
		createPod: async (_record, request) => new OciPod(await launcher.createMonitor(request), options),
		forgetPod: async ({id}) => await launcher.forgetPod(id),
		findPod: async ({id}) => {
			const monitor = await launcher.findMonitor(id);
			return monitor === null ? null : new OciPod(monitor, options);
		},
	};
}

/** Asks for its version. null: it can be used. */
async function findProblem({path}: HandlerOptions, kernel: Kernel): Promise<string | null> {
	try {
		await access(path, constants.X_OK);
		if (!(await stat(path)).isFile()) return `${path} is not a file`;
		const request = {path, cwd: '/', args: ['--version'], env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], stdin: new Uint8Array(), timeoutMs: PROBE_TIMEOUT_MS};
		const {exitCode, stderr, timedOut} = await kernel.runProgram({...request, maxOutputBytes: MAX_PROBE_BYTES}, null);
		if (timedOut) return `${path} --version did not end within ${PROBE_TIMEOUT_MS} ms`;
		return exitCode === 0 ? null : `${path} --version: exit code ${exitCode}: ${Buffer.from(stderr).toString().trim()}`;
	} catch (error) {
		return (error as Error).message;
	}
}
