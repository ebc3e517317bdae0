import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {patientMs} from '../base/test-patience.js';
import type {Kernel, ProgramRequest, ProgramResult} from '../native/native.js';
import type {Attachment, CniOptions} from './cni.js';

/** What a plugin was told, decoded. */
export interface SeenCall {
	readonly plugin: string;
	readonly command: string;
	readonly env: Readonly<Record<string, string>>;
	readonly stdin: Readonly<Record<string, unknown>>;
}
export type PluginScript = (call: SeenCall, signal: AbortSignal | null) => Partial<ProgramResult> | object | string | Promise<object | string>;

/** A kernel whose programs are functions: an object or string is what the plugin prints, a ProgramResult (with exitCode) is taken as it is. */
export function fakeKernel(script: PluginScript): {readonly kernel: Kernel; readonly calls: SeenCall[]} {
	const calls: SeenCall[] = [];
	const kernel = {
		async runProgram(request: ProgramRequest, signal: AbortSignal | null): Promise<ProgramResult> {
			const env = Object.fromEntries(request.env.map(entry => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
			const stdin = JSON.parse(new TextDecoder().decode(request.stdin)) as Record<string, unknown>;
			const call = {plugin: basename(request.path), command: env['CNI_COMMAND'] ?? '', env, stdin};
			calls.push(call);
			const answer = await script(call, signal);
			const result = {exitCode: 0, stdout: new Uint8Array(), stderr: new Uint8Array(), timedOut: false};
			if (typeof answer === 'object' && 'exitCode' in answer) return {...result, ...answer};
			return {...result, stdout: bytes(answer)};
		},
	};
	return {kernel: kernel as unknown as Kernel, calls};
}

export function bytes(value: object | string): Uint8Array {
	return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

/** A directory of one test with a conf dir, a cache dir and a bin dir that holds `plugins` (name → script text), removed by `remove`. */
export async function cniDirs(
	plugins: Readonly<Record<string, string>>,
): Promise<{readonly options: CniOptions; readonly root: string; remove(): Promise<void>}> {
	const root = await mkdtemp(join(tmpdir(), 'cni-test-'));
	const options = {
		confDir: join(root, 'net.d'),
		binDirs: [join(root, 'bin')],
		cacheDir: join(root, 'cache'),
		timeoutMs: patientMs(10_000),
		maxConcurrent: 2,
		embedded: null,
	};
	await mkdir(options.confDir);
	await mkdir(join(root, 'bin'));
	for (const [name, text] of Object.entries(plugins)) await writePlugin(join(root, 'bin', name), text);
	return {options, root, remove: async () => await rm(root, {recursive: true, force: true})};
}

export async function writePlugin(path: string, text: string): Promise<void> {
	await writeFile(path, text);
	await chmod(path, 0o755);
}

/** Parts of a `.conflist`. */
export function conflist(name: string, ...plugins: readonly object[]): string {
	return JSON.stringify({cniVersion: '1.0.0', name, plugins});
}

export const attachment: Attachment = {
	sandboxId: 'pod1',
	netnsPath: '/proc/self/ns/net',
	podName: 'web',
	podNamespace: 'default',
	podUid: 'uid-1',
	portMappings: [],
	bandwidth: null,
	cgroupPath: '',
	dns: {servers: [], searches: [], options: []},
};

/** A result with one address on eth0. */
export function resultWith(address: string): object {
	return {cniVersion: '1.0.0', interfaces: [{name: 'br0'}, {name: 'eth0', sandbox: '/run/netns/x'}], ips: [{address, interface: 1}]};
}
