import type {Readable, Writable} from 'node:stream';
import {systemClock} from '../../../base/clock.js';
import {TimedOutError, UnavailableError} from '../../../base/errors.js';
import type {StreamType} from '../channels.js';
import type {SpdyConnection} from './connection.js';
import type {SpdyStream} from './stream.js';

/**
 * Waits until the client opened every stream of `expected`, each once; others are refused. Also refuses what it opens later.
 *
 * @throws {TimedOutError} not all came within `timeoutMs`.
 * @throws {UnavailableError} the connection closed first.
 */
export async function collectStreams(
	connection: SpdyConnection,
	expected: ReadonlySet<StreamType>,
	timeoutMs: number,
): Promise<ReadonlyMap<StreamType, Readable & Writable>> {
	const streams = new Map<StreamType, Readable & Writable>();
	const {promise: complete, resolve} = Promise.withResolvers<void>();
	connection.on('stream', (stream: SpdyStream) => {
		const type = stream.headers.get('streamtype') as StreamType | undefined;
		if (type === undefined || !expected.has(type) || streams.has(type)) return connection.refuse(stream);
		streams.set(type, stream);
		// What a client sends the wrong way must not stand before what it sends the right way.
		if (type !== 'stdin' && type !== 'resize') stream.resume();
		if (streams.size === expected.size) resolve();
	});
	const waited = new AbortController();
	const stop = AbortSignal.any([waited.signal, connection.closed]);
	const inTime = await Promise.race([complete.then(() => true), systemClock.sleep(timeoutMs, stop).then(() => false)]);
	waited.abort();
	if (inTime) return streams;
	if (connection.closed.aborted) throw new UnavailableError('the client closed the connection before it opened its streams');
	const missing = [...expected].filter(type => !streams.has(type));
	throw new TimedOutError(`the client did not open its streams within ${timeoutMs} ms: ${missing.join(', ')}`);
}
