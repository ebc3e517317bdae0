import {join} from 'node:path';
import type {ExecutionContext, TestFn} from 'ava';
import type {ContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig, PodSandboxConfig} from '../../proto/cri.js';
import {addImage, toLayer, type RunConfig} from '../fixtures/content.js';
import type {TarEntry} from '../fixtures/tar.js';
import type {CriClient} from '../rig/cri-client.js';
import type {Daemon, DaemonChoices} from '../rig/daemon.js';
import {pullBusybox, readMessages, removePod, runContainer, statusOf, toContainerConfig, toPodConfig, until, type Pod} from '../rig/pods.js';
import {useDaemon, type Running} from '../rig/use-daemon.js';
import {RUNTIME} from '../handlers/handlers.js';
import {HANDLERS, type FieldHandler} from './handlers.js';

const EXITED = 2;
/** CRI v1: NamespaceMode. */
export const MODE = {POD: 0, CONTAINER: 1, NODE: 2, TARGET: 3} as const;

/** What a test of fields has: a daemon with busybox pulled, and pods under its runtime handler. */
export class FieldRig {
	constructor(
		readonly running: Running,
		readonly handler: FieldHandler,
	) {}

	get daemon(): Daemon {
		return this.running.daemon;
	}
	get cri(): CriClient {
		return this.daemon.cri;
	}

	/** Host network unless said otherwise, which spares the CNI plugins. */
	async pod(name: string, changes: Partial<PodSandboxConfig> = {}): Promise<Pod> {
		// Handlers run the same tests: their logs must not meet.
		const log_directory = join(this.daemon.places.scratchDir, 'logs', this.handler.name, name);
		const config = {...(await toPodConfig(this.daemon, name, true)), log_directory, ...changes};
		const {pod_sandbox_id: id} = await this.cri.call('RunPodSandbox', {config, runtime_handler: this.handler.runtimeHandler});
		return {id, config, logDirectory: config.log_directory};
	}

	/** Runs a shell script to its end. @returns the lines it wrote. */
	async run(pod: Pod, script: string, changes: Partial<ContainerConfig> = {}): Promise<readonly string[]> {
		return await this.runConfig(pod, toContainerConfig(nextName(), ['sh', '-c', script], changes));
	}

	async runConfig(pod: Pod, config: ContainerConfig): Promise<readonly string[]> {
		const id = await runContainer(this.cri, pod, config);
		await until(
			'the container ends',
			() => statusOf(this.cri, id),
			({state}) => state === EXITED,
		);
		const lines = await readMessages(join(pod.logDirectory, config.log_path ?? ''));
		await this.cri.call('RemoveContainer', {container_id: id});
		return lines;
	}

	/** A container that waits. @returns its id. */
	async start(pod: Pod, changes: Partial<ContainerConfig> = {}): Promise<string> {
		return await runContainer(this.cri, pod, toContainerConfig(nextName(), ['sleep', '1000'], {stop_signal: 9, ...changes}));
	}

	/** @throws unless it ends with 0. */
	async exec(container_id: string, script: string): Promise<readonly string[]> {
		const {stdout, stderr, exit_code} = await this.cri.call('ExecSync', {container_id, cmd: ['sh', '-c', script]});
		if (exit_code !== 0) throw new Error(`${script}: exit code ${exit_code}: ${Buffer.from(stderr).toString()}`);
		return toLines(Buffer.from(stdout).toString());
	}

	async remove(pod: Pod): Promise<void> {
		await removePod(this.cri, pod);
	}
}

let names = 0;
function nextName(): string {
	return `c${++names}`;
}

export function toLines(text: string): readonly string[] {
	return text.split('\n').filter(line => line !== '');
}

/** "key=value" lines. */
export function toFacts(lines: readonly string[]): Readonly<Record<string, string>> {
	return Object.fromEntries(lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

export function withSecurity(security_context: LinuxContainerSecurityContext): Partial<ContainerConfig> {
	return {linux: {security_context}};
}

/** On the node's network, which spares the CNI plugins. */
export function podLinux(security_context: object = {}, more: LinuxPodSandboxConfig = {}): Partial<PodSandboxConfig> {
	const {namespace_options = {}, ...rest} = security_context as {readonly namespace_options?: object};
	return {linux: {...more, security_context: {...rest, namespace_options: {network: MODE.NODE, ...namespace_options}}}};
}

type FieldTest = (title: string, body: (t: ExecutionContext, rig: FieldRig) => Promise<void>) => void;

/** Tests of fields, each under every runtime handler that can do it. One daemon for the file. */
export function useFields(test: TestFn, choices: DaemonChoices = {}): FieldTest {
	const running = useDaemon(test, {...choices, runtime: `${choices.runtime ?? ''}\n${RUNTIME}`});
	test.before(async () => {
		await pullBusybox(running().daemon.cri);
	});
	return (title, body) => {
		for (const handler of HANDLERS) {
			if (handler.cannot[title] !== undefined) continue;
			test.serial(`${handler.name}: ${title}`, async t => await body(t, new FieldRig(running(), handler)));
		}
	};
}

/** Pulls an image of the test's own: busybox with these layers on top. @returns its reference. */
export async function pullOwn(rig: FieldRig, name: string, config: RunConfig, entries: readonly TarEntry[] = []): Promise<string> {
	const {content} = rig.running;
	const layers = entries.length === 0 ? [content.base] : [content.base, toLayer(entries, 'gzip')];
	content.tags.set(`test/${name}:1`, addImage(content.blobs, {format: 'oci', layers, config}));
	const image = `registry.k8s.io/test/${name}:1`;
	await rig.cri.image('PullImage', {image: {image}});
	return image;
}

/** A shell command that says "name=yes" where `command` succeeds, else "name=no". */
export function says(name: string, command: string): string {
	return `if { ${command}; } >/dev/null 2>&1; then echo ${name}=yes; else echo ${name}=no; fi`;
}
