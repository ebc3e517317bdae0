import {CorruptError} from '../../../base/errors.js';
import {DbusReader, DbusWriter, toText, type DbusValue, type Variant} from './dbus-codec.js';

/** D-Bus specification, "Message Protocol". */
export const MESSAGE_TYPE = {CALL: 1, RETURN: 2, ERROR: 3, SIGNAL: 4} as const;
const FIELD = {PATH: 1, INTERFACE: 2, MEMBER: 3, ERROR_NAME: 4, REPLY_SERIAL: 5, DESTINATION: 6, SENDER: 7, SIGNATURE: 8} as const;
const LITTLE_ENDIAN = 'l'.charCodeAt(0);
const FIXED_BYTES = 16;
/** The specification's limit is 128 MiB; nothing that we ask for comes near this. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export interface DbusMessage {
	readonly type: number;
	readonly serial: number;
	readonly path: string;
	readonly interface: string;
	readonly member: string;
	/** '' but in errors. */
	readonly errorName: string;
	/** 0 but in replies. */
	readonly replySerial: number;
	readonly destination: string;
	readonly signature: string;
	readonly body: readonly DbusValue[];
}

const TEXT_FIELDS = [
	['path', FIELD.PATH, 'o'],
	['interface', FIELD.INTERFACE, 's'],
	['member', FIELD.MEMBER, 's'],
	['errorName', FIELD.ERROR_NAME, 's'],
	['destination', FIELD.DESTINATION, 's'],
	['signature', FIELD.SIGNATURE, 'g'],
] as const;

export function encodeMessage(message: DbusMessage): Buffer {
	const body = new DbusWriter().all(message.signature, message.body).finish();
	const fields: DbusValue[] = TEXT_FIELDS.flatMap(([name, code, signature]) => (message[name] === '' ? [] : [[code, {signature, value: message[name]}]]));
	if (message.replySerial !== 0) fields.push([FIELD.REPLY_SERIAL, {signature: 'u', value: message.replySerial}]);
	const header = new DbusWriter().all('yyyyuua(yv)', [LITTLE_ENDIAN, message.type, 0, 1, body.length, message.serial, fields]).align(8).finish();
	return Buffer.concat([header, body]);
}

/**
 * Takes the first whole message off `bytes`.
 *
 * @returns null when it is not all there yet.
 * @throws {CorruptError} malformed, too long, or of a big-endian peer.
 */
export function takeMessage(bytes: Buffer): {readonly message: DbusMessage; readonly length: number} | null {
	if (bytes.length < FIXED_BYTES) return null;
	if (bytes.readUInt8(0) !== LITTLE_ENDIAN) throw new CorruptError('a D-Bus message is not little-endian');
	const bodyBytes = bytes.readUInt32LE(4);
	const headerBytes = Math.ceil((FIXED_BYTES + bytes.readUInt32LE(12)) / 8) * 8;
	const length = headerBytes + bodyBytes;
	if (length > MAX_MESSAGE_BYTES) throw new CorruptError(`a D-Bus message has ${length} bytes`);
	if (bytes.length < length) return null;
	const [, type, , , , serial, fields] = new DbusReader(bytes.subarray(0, headerBytes)).all('yyyyuua(yv)');
	const byCode = new Map((fields as readonly (readonly [number, Variant])[]).map(([code, variant]) => [code, variant.value]));
	const text = (code: number): string => toText(byCode.get(code));
	const signature = text(FIELD.SIGNATURE);
	const message: DbusMessage = {
		type: Number(type),
		serial: Number(serial),
		path: text(FIELD.PATH),
		interface: text(FIELD.INTERFACE),
		member: text(FIELD.MEMBER),
		errorName: text(FIELD.ERROR_NAME),
		replySerial: Number(byCode.get(FIELD.REPLY_SERIAL) ?? 0),
		destination: text(FIELD.DESTINATION),
		signature,
		body: new DbusReader(bytes.subarray(headerBytes, length)).all(signature),
	};
	return {message, length};
}
