import {addon, type RawChannel} from './addon.js';
import {BodyWriter, decodeHeader, encodeHeader, type Header} from './protocol.js';
import {HEADER_BYTES, HEADER_FLAG, MESSAGE, PROTOCOL_VERSION, ROLE, TAG} from './protocol-numbers.js';

/** For tests: the other side of a connection. `answer` gets each request but HELLO. */
export class FakePeer {
	readonly near: number;
	readonly channel: RawChannel;
	version: number = PROTOCOL_VERSION;
	closed = false;
	answer: (header: Header, body: Buffer, fds: number[]) => void = (_header, _body, fds) => addon.closeFds(fds);

	constructor() {
		const [near, far] = addon.socketPair();
		this.near = near;
		this.channel = new addon.Channel(
			far,
			(message, fds) => this.#onMessage(message, fds),
			() => void (this.closed = true),
		);
	}

	#onMessage(message: Buffer, fds: number[]): void {
		const header = decodeHeader(message);
		if (header.type !== MESSAGE.HELLO) return this.answer(header, message.subarray(HEADER_BYTES), fds);
		this.reply(header, new BodyWriter().u32(TAG.MIN_VERSION, this.version).u32(TAG.ROLE, ROLE.MONITOR).u32(TAG.PID, 4711));
	}

	reply({type, requestId}: Header, body: BodyWriter, status = 0, fds: readonly number[] = []): void {
		this.send({type, requestId, status, flags: HEADER_FLAG.REPLY}, body.finish(), fds);
	}

	send(header: Omit<Header, 'version' | 'bodyBytes'>, body: Buffer, fds: readonly number[] = []): void {
		const whole = encodeHeader({...header, version: PROTOCOL_VERSION, bodyBytes: body.length});
		this.channel.send((header.flags & HEADER_FLAG.BODY_IN_MEMFD) === 0 ? Buffer.concat([whole, body]) : whole, fds);
	}
}
