import path from 'node:path';
import {addon, callAddon} from './addon.js';
import {writeCgroup, writeProcess, writeRootfs} from './launch-spec.js';
import type {ForeignContainer} from './native.js';
import {BodyWriter} from './protocol.js';
import {TAG} from './protocol-numbers.js';

/** The body of CREATE_FOREIGN with its descriptors. On failure none is left open. */
export async function openForeign({
	containerId,
	log,
	stdoutPath,
	stderrPath,
	stdinPath,
	launch,
}: ForeignContainer): Promise<{readonly body: BodyWriter; readonly fds: readonly number[]}> {
	const body = new BodyWriter().string(TAG.CONTAINER_ID, containerId);
	if (launch !== null) writeProcess(writeRootfs(writeCgroup(body, launch.cgroup), launch.rootfs), launch.process).strings(TAG.VOLUME_DIR, launch.volumeDirs);
	const fds: number[] = [];
	const open = async (tag: number, fifo: string | null, write: 0 | 1): Promise<void> => {
		if (fifo === null) return;
		body.u32(tag, fds.length);
		fds.push(await callAddon<number>(done => addon.openFifo(fifo, write, done)));
	};
	try {
		await open(TAG.STDOUT_FD, stdoutPath, 0);
		await open(TAG.STDERR_FD, stderrPath, 0);
		await open(TAG.STDIN_FD, stdinPath, 1);
		if (log !== null) {
			const dirFd = await callAddon<number>(done => addon.openDirectory(path.dirname(log.path), done));
			const index = fds.push(dirFd) - 1;
			body.group(TAG.LOG, it => it.u32(TAG.LOG_DIR_FD, index).string(TAG.NAME, path.basename(log.path)).u32(TAG.MAX_LINE_BYTES, log.maxLineBytes));
		}
	} catch (error) {
		addon.closeFds(fds);
		throw error;
	}
	return {body, fds};
}
