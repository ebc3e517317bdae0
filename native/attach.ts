import {randomUUID} from 'node:crypto';
import {addon} from './addon.js';
import type {Reply} from './connection.js';
import type {Expectations} from './expectations.js';
import type {AttachRequest, AttachSession} from './native.js';
import {FdStreams} from './output.js';
import {BodyWriter} from './protocol.js';
import {MESSAGE, TAG} from './protocol-numbers.js';

/** What an attachment needs of its monitor. */
export interface AttachHost {
	request(type: number, body: BodyWriter, fds?: readonly number[]): Promise<Reply>;
	/** Skipped bytes of attachments that ended with their container, by attach id. */
	readonly attachEnds: Expectations<number>;
	readonly inputs: Inputs;
}

/** Our ends of containers' inputs. Each is a writer of the pipe: the container sees the end only when all are closed. */
export class Inputs {
	readonly #byContainer = new Map<string, Set<FdStreams>>();

	add(containerId: string, input: FdStreams): void {
		const inputs = this.#byContainer.get(containerId) ?? new Set();
		this.#byContainer.set(containerId, inputs.add(input));
	}

	delete(containerId: string, input: FdStreams): void {
		const inputs = this.#byContainer.get(containerId);
		inputs?.delete(input);
		if (inputs?.size === 0) this.#byContainer.delete(containerId);
	}

	closeAll(containerId: string): void {
		for (const input of this.#byContainer.get(containerId) ?? []) input.end();
		this.#byContainer.delete(containerId);
	}
}

/** Monitor.attach, see native.ts. */
export async function attach(host: AttachHost, request: AttachRequest): Promise<AttachSession> {
	const attachId = randomUUID();
	const ended = host.attachEnds.expect(attachId);
	const outputs = openOutputs(request);
	const body = new BodyWriter().string(TAG.CONTAINER_ID, request.containerId).string(TAG.ATTACH_ID, attachId);
	for (const [index, {tag}] of outputs.entries()) body.u32(tag, index);
	body.bool(TAG.WITH_STDIN, request.stdin).bool(TAG.STDIN_ONCE, request.stdinOnce);
	try {
		const remote = outputs.map(({remoteFd}) => remoteFd);
		const {body: reply, fds} = await host.request(MESSAGE.ATTACH, body, remote);
		const [inputFd, ...others] = fds;
		addon.closeFds(others);
		const input = inputFd === undefined ? null : new FdStreams(inputFd, {read: false, write: true});
		if (input !== null) host.inputs.add(request.containerId, input);
		return toSession(host, request, {attachId, outputs, input, tty: reply.bool(TAG.TTY), ended});
	} catch (error) {
		for (const {local} of outputs) local.end();
		host.attachEnds.forget(attachId);
		throw error;
	}
}

interface Output {
	readonly tag: number;
	readonly remoteFd: number;
	readonly local: FdStreams;
}

function openOutputs({stdout, stderr}: AttachRequest): readonly Output[] {
	const tags = [...(stdout ? [TAG.STDOUT_FD] : []), ...(stderr ? [TAG.STDERR_FD] : [])];
	return tags.map(tag => {
		const [readFd, remoteFd] = addon.pipe();
		return {tag, remoteFd, local: new FdStreams(readFd, {read: true, write: false})};
	});
}

interface Attached {
	readonly attachId: string;
	readonly outputs: readonly Output[];
	readonly input: FdStreams | null;
	readonly tty: boolean;
	readonly ended: Promise<number>;
}

function toSession(host: AttachHost, request: AttachRequest, {attachId, outputs, input, tty, ended}: Attached): AttachSession {
	const {containerId} = request;
	const close = (): void => {
		host.attachEnds.forget(attachId);
		for (const {local} of outputs) local.end();
		if (input === null) return;
		host.inputs.delete(containerId, input);
		input.end();
	};
	const finished = ended.finally(close);
	// Whoever does not wait for the end need not hear that the monitor was lost.
	finished.catch(() => {});
	const closeStdin = async (): Promise<void> => {
		// A terminal has no end of its own to close.
		if (tty) return;
		host.inputs.closeAll(containerId);
		await host.request(MESSAGE.CLOSE_STDIN, new BodyWriter().string(TAG.CONTAINER_ID, containerId));
	};
	const readable = (tag: number): AttachSession['stdout'] => outputs.find(output => output.tag === tag)?.local.readable ?? null;
	return {
		tty,
		stdin: input?.writable ?? null,
		stdout: readable(TAG.STDOUT_FD),
		stderr: readable(TAG.STDERR_FD),
		ended: finished,
		resize: (columns, rows) => {
			const body = new BodyWriter().string(TAG.CONTAINER_ID, containerId).u32(TAG.COLUMNS, columns).u32(TAG.ROWS, rows);
			// A container without a terminal, or one that is gone, has no size.
			host.request(MESSAGE.RESIZE, body).catch(() => {});
		},
		closeStdin,
		async detach() {
			close();
			// The monitor closes its own end of such a stdin.
			if (request.stdinOnce && input !== null && !tty) host.inputs.closeAll(containerId);
			await host.request(MESSAGE.DETACH, new BodyWriter().string(TAG.ATTACH_ID, attachId));
		},
	};
}
