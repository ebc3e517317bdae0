/** What a client speaks. */
export type Protocol = 'http2' | 'http1';

/** How each connection of HTTP/2 with prior knowledge begins (RFC 9113, 3.4); the method is reserved, so no request of HTTP/1 begins so. */
const PREFACE = Buffer.from('PRI * HTTP/2.0', 'latin1');

/** @returns null: more bytes are needed. */
export function toProtocol(start: Uint8Array): Protocol | null {
	const length = Math.min(start.length, PREFACE.length);
	if (PREFACE.compare(start, 0, length, 0, length) !== 0) return 'http1';
	return length < PREFACE.length ? null : 'http2';
}
