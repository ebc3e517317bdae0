import {once} from 'node:events';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {present} from '../fake-client.js';

export const Opcode = {CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10} as const;

export interface ClientFrame {
	readonly opcode: number;
	readonly data: Buffer;
	readonly fin?: boolean;
	readonly masked?: boolean;
	/** RSV bits, as they stand in the first byte (0x40: compressed). */
	readonly reserved?: number;
	/** Said to be so long, whatever follows. */
	readonly length?: number;
}

/** A frame as RFC 6455, 5.2, has it; or deliberately not. */
export function toFrame({opcode, data, fin = true, masked = true, reserved = 0, length = data.length}: ClientFrame): Buffer {
	const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
	head[0] = (fin ? 0x80 : 0) | reserved | opcode;
	head[1] = (masked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127);
	if (head.length === 4) head.writeUInt16BE(length, 2);
	if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
	if (!masked) return Buffer.concat([head, data]);
	const key = Buffer.from([7, 91, 203, 144]);
	return Buffer.concat([head, key, data.map((byte, index) => byte ^ key[index % 4]!)]);
}

/** A WebSocket client that can also misbehave. */
export class FakeWebSocket {
	/** Messages of the server, whole, in order. */
	readonly messages: Buffer[] = [];
	readonly texts: boolean[] = [];
	readonly pings: Buffer[] = [];
	/** Code and reason of the server's close frame. */
	close: {readonly code: number; readonly reason: string} | null = null;
	readonly closed: Promise<unknown>;
	onMessage: (message: Buffer) => void = () => {};
	#pending: Buffer = Buffer.alloc(0);

	constructor(
		readonly socket: Socket,
		head: Buffer,
	) {
		this.closed = new Promise(resolve => socket.once('close', resolve));
		socket.on('error', () => {});
		socket.on('data', (chunk: Buffer) => this.#receive(chunk));
		this.#receive(head);
	}

	send(frame: ClientFrame): boolean {
		return this.socket.write(toFrame(frame));
	}

	/** A message on a channel. */
	write(channel: number, data: string | Buffer): boolean {
		return this.send({opcode: Opcode.BINARY, data: Buffer.concat([Buffer.from([channel]), Buffer.from(data as string)])});
	}

	/** What has come on a channel. */
	text(channel: number): string {
		return Buffer.concat(this.messages.filter(message => message[0] === channel).map(message => message.subarray(1))).toString('latin1');
	}

	async until(holds: () => boolean): Promise<void> {
		while (!holds()) {
			if (this.socket.destroyed) throw new Error('closed before');
			await Promise.race([once(this.socket, 'data'), this.closed]);
		}
	}

	#receive(chunk: Buffer): void {
		this.#pending = Buffer.concat([this.#pending, chunk]);
		for (;;) {
			const [first = 0, second = 0] = this.#pending;
			const short = second & 0x7f;
			const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
			if (this.#pending.length < headBytes) return;
			const length = short === 126 ? this.#pending.readUInt16BE(2) : short === 127 ? Number(this.#pending.readBigUInt64BE(2)) : short;
			if (this.#pending.length < headBytes + length) return;
			this.#take(first & 0x0f, Buffer.from(this.#pending.subarray(headBytes, headBytes + length)));
			this.#pending = this.#pending.subarray(headBytes + length);
		}
	}

	/** Servers do not fragment here. */
	#take(opcode: number, data: Buffer): void {
		if (opcode === Opcode.PING) {
			this.pings.push(data);
			this.send({opcode: Opcode.PONG, data});
		} else if (opcode === Opcode.CLOSE) {
			this.close = {code: data.length >= 2 ? data.readUInt16BE(0) : 1005, reason: data.subarray(2).toString()};
			this.send({opcode: Opcode.CLOSE, data});
		} else if (opcode !== Opcode.PONG) {
			this.messages.push(data);
			this.texts.push(opcode === Opcode.TEXT);
			this.onMessage(data);
		}
	}
}

export const websocketHeaders = {Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='};

export interface WebSocketAnswer {
	readonly statusCode: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly body: string;
	readonly client: FakeWebSocket | null;
}

/** @param subprotocols '' = none is named. */
export async function connectWebSocket(
	url: string,
	subprotocols: string,
	changes: Readonly<Record<string, string>> = {},
	method = 'GET',
): Promise<WebSocketAnswer> {
	const headers = {...websocketHeaders, ...(subprotocols === '' ? {} : {'Sec-WebSocket-Protocol': subprotocols}), ...changes};
	const {upgraded, ...answer} = await present(url, headers, method);
	return {...answer, client: upgraded === null ? null : new FakeWebSocket(upgraded.socket, upgraded.head)};
}

/** The bytes within the binary messages, both ways: what a SPDY client takes for its socket. */
export function tunnelOf(client: FakeWebSocket): Duplex {
	const tunnel = new Duplex({
		read() {},
		write(data: Buffer, _encoding, done) {
			client.send({opcode: Opcode.BINARY, data});
			done();
		},
	});
	for (const message of client.messages) tunnel.push(message);
	client.onMessage = message => void tunnel.push(message);
	void client.closed.then(() => tunnel.destroy());
	return tunnel;
}
