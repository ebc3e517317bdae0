import {once} from 'node:events';
import {request} from 'node:http';
import {request as requestSecurely} from 'node:https';
import type {Socket} from 'node:net';
import {PassThrough} from 'node:stream';
import {constants, createDeflate} from 'node:zlib';
import type {AttachSession, ExecSession} from '../../native/native.js';
import {controlFrame, dataHead, FLAG_FIN, FrameParser, FrameType, type Frame} from './spdy/frames.js';
import {SPDY_DICTIONARY} from './spdy/dictionary.js';

/** A SPDY client as Go's: header blocks are compressed by one real zlib stream. */
export class FakeClient {
	readonly frames: Frame[] = [];
	/** What came in data frames, by stream. */
	readonly received = new Map<number, string>();
	readonly finished = new Set<number>();
	readonly closed: Promise<unknown>;
	readonly #deflate = createDeflate({dictionary: SPDY_DICTIONARY});
	#nextId = 1;

	constructor(
		readonly socket: Socket,
		head: Buffer,
	) {
		const parser = new FrameParser();
		const receive = (chunk: Buffer): void => {
			for (const frame of parser.push(Buffer.from(chunk))) this.#take(frame);
		};
		// Not events.once(), which rejects when the server resets the connection.
		this.closed = new Promise(resolve => socket.once('close', resolve));
		socket.on('error', () => {});
		socket.on('data', receive);
		receive(head);
	}

	async open(headers: Readonly<Record<string, string>>, flags = 0): Promise<number> {
		const streamId = this.#nextId;
		this.#nextId += 2;
		await this.openAs(streamId, headers, flags);
		return streamId;
	}

	async openAs(streamId: number, headers: Readonly<Record<string, string>>, flags = 0): Promise<void> {
		this.socket.write(controlFrame(FrameType.SYN_STREAM, flags, streamId, 0, Buffer.alloc(2), await this.compress(headers)));
	}

	async compress(headers: Readonly<Record<string, string>>): Promise<Buffer> {
		const entries = Object.entries(headers);
		this.#deflate.write(Buffer.concat([uint32(entries.length), ...entries.flat().flatMap(text => [uint32(text.length), Buffer.from(text)])]));
		const {promise, resolve} = Promise.withResolvers<void>();
		this.#deflate.flush(constants.Z_SYNC_FLUSH, resolve);
		await promise;
		const parts: Buffer[] = [];
		for (let part = this.#deflate.read() as Buffer | null; part !== null; part = this.#deflate.read() as Buffer | null) parts.push(part);
		return Buffer.concat(parts);
	}

	write(streamId: number, text: string | Buffer, fin = false): boolean {
		const data = Buffer.from(text as string);
		return this.socket.write(Buffer.concat([dataHead(streamId, data.length, fin), data]));
	}

	/** The whole of what the server sent on a stream, after its FIN. */
	async text(streamId: number): Promise<string> {
		while (!this.finished.has(streamId))
			await Promise.race([
				once(this.socket, 'data'),
				this.closed.then(() => {
					throw new Error(`closed before the end of stream ${streamId}`);
				}),
			]);
		return this.received.get(streamId) ?? '';
	}

	async until(kind: Frame['kind']): Promise<Frame> {
		for (;;) {
			const frame = this.frames.find(candidate => candidate.kind === kind);
			if (frame !== undefined) return frame;
			await Promise.race([
				once(this.socket, 'data'),
				this.closed.then(() => {
					throw new Error(`closed before a ${kind}`);
				}),
			]);
		}
	}

	#take(frame: Frame): void {
		if (frame.kind !== 'data') return void this.frames.push(frame);
		this.received.set(frame.streamId, (this.received.get(frame.streamId) ?? '') + frame.data.toString('latin1'));
		if (frame.fin) this.finished.add(frame.streamId);
	}
}

export const FIN = FLAG_FIN;

export interface Answer {
	readonly statusCode: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly body: string;
	readonly client: FakeClient | null;
}

export const spdyHeaders = {
	Connection: 'Upgrade',
	Upgrade: 'SPDY/3.1',
	'X-Stream-Protocol-Version': ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'],
};

/** Presents a URL as client-go does. */
export async function connect(url: string, headers: Readonly<Record<string, string | string[]>> = spdyHeaders, method = 'POST'): Promise<Answer> {
	const {upgraded, ...answer} = await present(url, headers, method);
	return {...answer, client: upgraded === null ? null : new FakeClient(upgraded.socket, upgraded.head)};
}

/** An answer to a request for an upgrade, whatever it is to become. */
export interface Presented extends Omit<Answer, 'client'> {
	readonly upgraded: {readonly socket: Socket; readonly head: Buffer} | null;
}

export async function present(url: string, headers: Readonly<Record<string, string | string[]>>, method: string): Promise<Presented> {
	const {promise, resolve, reject} = Promise.withResolvers<Presented>();
	const options = {method, headers, agent: false as const};
	// Tests of certificates have a client of their own.
	const outgoing = url.startsWith('https:') ? requestSecurely(url, {...options, rejectUnauthorized: false}) : request(url, options);
	outgoing.on('upgrade', (response, socket, head) =>
		resolve({statusCode: response.statusCode ?? 0, headers: response.headers, body: '', upgraded: {socket: socket as Socket, head}}),
	);
	outgoing.on('response', response => {
		let body = '';
		response.on('data', (chunk: Buffer) => (body += chunk.toString()));
		response.on('end', () => resolve({statusCode: response.statusCode ?? 0, headers: response.headers, body, upgraded: null}));
	});
	outgoing.on('error', reject);
	outgoing.end();
	return await promise;
}

/** A command whose program is the test. */
export function fakeSession({tty = false, stdin = true} = {}) {
	const input = stdin ? new PassThrough() : null;
	const stdout = new PassThrough();
	const stderr = tty ? null : new PassThrough();
	const {promise: exited, resolve: exit} = Promise.withResolvers<number>();
	const sizes: string[] = [];
	const killed = Promise.withResolvers<void>();
	const session: ExecSession = {
		pid: 1,
		stdin: input,
		stdout,
		stderr,
		exited,
		resize: (columns, rows) => void sizes.push(`${columns}x${rows}`),
		kill() {
			killed.resolve();
			exit(137);
		},
	};
	return {session, input, stdout, stderr, exit, sizes, killed: killed.promise};
}

/** A container's side of an attachment; what was done to it, in order. */
export function fakeAttachment({tty, stdin, hasStdin}: {readonly tty: boolean; readonly stdin: boolean; readonly hasStdin: boolean}) {
	const input = stdin && hasStdin ? new PassThrough() : null;
	const stdout = new PassThrough();
	const stderr = new PassThrough();
	const done: string[] = [];
	const left = Promise.withResolvers<void>();
	const {promise: ended, resolve} = Promise.withResolvers<number>();
	const finish = (): void => {
		for (const output of [stdout, stderr]) if (!output.writableEnded) output.end();
	};
	const session: AttachSession = {
		tty,
		stdin: input,
		stdout,
		stderr: tty ? null : stderr,
		ended,
		resize: (columns, rows) => void done.push(`resize ${columns}x${rows}`),
		closeStdin: async () => void done.push('close stdin'),
		async detach() {
			done.push('detach');
			finish();
			left.resolve();
		},
	};
	/** The container ends. */
	const end = (skippedBytes = 0): void => {
		finish();
		resolve(skippedBytes);
	};
	return {session, input, stdout, stderr, done, end, left: left.promise};
}

function uint32(value: number): Buffer {
	const field = Buffer.alloc(4);
	field.writeUInt32BE(value);
	return field;
}
