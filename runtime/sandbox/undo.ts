import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {Rollback} from '../../base/rollback.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from './record.js';

/** Where the pod's network namespace is pinned, as CNI plugins see it. */
export function netnsPath(runtime: Pick<Runtime, 'options'>, sandboxId: string): string {
	return join(runtime.options.netnsDir, `berth-${sandboxId}`);
}

/** Where the pod's files (hosts, hostname, resolv.conf) lie. */
export function sandboxDir(runtime: Pick<Runtime, 'options'>, sandboxId: string): string {
	return join(runtime.options.rootDir, 'sandboxes', sandboxId);
}

/** Adds all that RunPodSandbox may have made, in the order it makes it. Each step is idempotent: recovery runs them for what it cannot know. */
export function addUndoSteps(rollback: Rollback, runtime: Runtime, record: SandboxRecord): void {
	rollback.add('record', () => runtime.state.delete(record));
	rollback.add('files', () => removeFiles(runtime, record));
	rollback.add('monitor', () => destroyMonitor(runtime, record));
	if (record.attachment !== null) {
		rollback.add('network namespace pin', () => unpin(runtime, record));
		rollback.add('network attachment', () => detach(runtime, record));
	}
}

export async function removeFiles(runtime: Runtime, record: SandboxRecord): Promise<void> {
	await rm(record.files.dir, {recursive: true, force: true});
}

/** Kills what is left of the pod. */
export async function destroyMonitor(runtime: Runtime, record: SandboxRecord): Promise<void> {
	const monitor = runtime.monitors.find(record.id) ?? (await runtime.monitors.reconnect(runtime.handlers, record));
	// Out of the map first: from here on its end is no accident.
	runtime.monitors.delete(record.id);
	if (monitor === null) await runtime.handlers.of(record).forgetPod(record);
	else await monitor.destroy();
	await runtime.cgroupDriver.closePod(record.id);
}

export async function unpin(runtime: Runtime, record: SandboxRecord): Promise<void> {
	if (record.attachment !== null) await runtime.kernel.unpinNetworkNamespace(record.attachment.netnsPath);
}

export async function detach(runtime: Runtime, record: SandboxRecord): Promise<void> {
	if (record.attachment !== null) await runtime.cni.detach(record.attachment);
}
