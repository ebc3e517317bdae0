import {chown} from 'node:fs/promises';
import type {ExecutionContext, TestFn} from 'ava';
import {LaunchRig} from './launch-rig.js';
import type {LaunchSpec, Monitor, MonitorRequest, MountSpec, UserNamespaceSpec} from './native.js';

/** For root tests of pods with user namespaces. */
export const FIRST = {uids: {first: 200_000, count: 65_536}, gids: {first: 300_000, count: 65_536}} as const;
const ALL_CAPABILITIES = 0x1ff_ffff_ffffn;

export interface Pod {
	readonly rig: LaunchRig;
	readonly monitor: Monitor;
	/** A container that is started and not waited for. */
	start(script: string, change?: (spec: LaunchSpec) => LaunchSpec): Promise<LaunchSpec>;
	/** What a container that runs `script` wrote, and how it ended. */
	run(
		script: string,
		change?: (spec: LaunchSpec) => LaunchSpec,
	): Promise<{readonly lines: readonly string[]; readonly exitCode: number; readonly spec: LaunchSpec}>;
}

export async function openPod(rig: LaunchRig, userNamespace: UserNamespaceSpec, request: Partial<MonitorRequest> = {}): Promise<Pod> {
	const sandboxId = request.sandboxId ?? 'pod';
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest(sandboxId, {...request, userNamespace}));
	const start: Pod['start'] = async (script, change = spec => spec) => {
		const plain = await rig.launchSpec(sandboxId, script);
		const data = `newinstance,ptmxmode=0666,mode=0620,gid=${userNamespace.gids.first + 5}`;
		const spec = change({...plain, mounts: plain.mounts.map(mount => (mount.target === '/dev/pts' ? {...mount, data} : mount)) as MountSpec[]});
		await chown(spec.rootfs.upperDir, userNamespace.uids.first, userNamespace.gids.first);
		await monitor.createContainer(spec);
		await monitor.startContainer(spec.containerId);
		return spec;
	};
	const run: Pod['run'] = async (script, change) => {
		const spec = await start(script, change);
		const {exitCode} = await rig.exitOf(spec.containerId);
		return {lines: await rig.logLines(spec.containerId), exitCode, spec};
	};
	return {rig, monitor, start, run};
}

/** A test with a pod of the ids FIRST. */
export function podTestOf(test: TestFn): (title: string, body: (t: ExecutionContext, pod: Pod) => Promise<void>, request?: Partial<MonitorRequest>) => void {
	return (title, body, request = {}) =>
		test(title, async t => {
			await using rig = await LaunchRig.open();
			await body(t, await openPod(rig, FIRST, request));
		});
}

export const bind = (source: string, target: string, idMapped: boolean): MountSpec => ({
	kind: 'bind',
	source,
	target,
	recursive: true,
	readonly: false,
	recursiveReadOnly: false,
	noexec: false,
	nosuid: false,
	nodev: false,
	propagation: 'private',
	idMapped,
	idMaps: null,
});
export const withMounts =
	(...mounts: MountSpec[]) =>
	(spec: LaunchSpec): LaunchSpec => ({...spec, mounts: [...spec.mounts, ...mounts]});
export const asUser =
	(uid: number) =>
	(spec: LaunchSpec): LaunchSpec => ({...spec, process: {...spec.process, user: {...spec.process.user, uid}}});
/** As a privileged one: every capability, nothing masked. */
export const withEverything = (spec: LaunchSpec): LaunchSpec => {
	const all = ALL_CAPABILITIES;
	const capabilities = {bounding: all, effective: all, permitted: all, inheritable: 0n, ambient: 0n};
	return {...spec, maskedPaths: [], readonlyPaths: [], process: {...spec.process, capabilities, noNewPrivileges: false}};
};
