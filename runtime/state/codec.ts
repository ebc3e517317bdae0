import {crc32} from 'node:zlib';
import type {ContainerRecord} from '../container/record.js';
import type {SandboxRecord} from '../sandbox/record.js';

export type AnyRecord = SandboxRecord | ContainerRecord;

/** A record as an earlier version wrote it, with what was added since. */
export function toCurrent(record: AnyRecord): AnyRecord {
	if (record.kind !== 'sandbox' || (record as Partial<SandboxRecord>).userNamespace !== undefined) return record;
	return {...record, userNamespace: null};
}

/** One line of the journal. A later line of the same id supersedes an earlier one. */
export type Entry = {readonly op: 'put'; readonly record: AnyRecord} | {readonly op: 'delete'; readonly kind: AnyRecord['kind']; readonly id: string};

/** Version of the lines' form. Additive changes keep it; a reader refuses a higher one by name. */
export const JOURNAL_VERSION = 1;

/** The first line of every journal file. */
export const HEADER_LINE = seal(JSON.stringify({journal: 'berth', version: JOURNAL_VERSION}));

/** `<crc32, 8 hex digits> <json>\n`: a torn or flipped line shows. */
export function seal(json: string): string {
	return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** The JSON text of a sealed line without its newline; null when the checksum does not fit. */
export function unseal(line: string): string | null {
	const json = line.slice(9);
	return line.charAt(8) === ' ' && line.slice(0, 8) === crc32(json).toString(16).padStart(8, '0') ? json : null;
}

/** bigint as {"$n": "123"}: JSON has none, and a plain number would lose digits of a nanosecond. */
export function toLine(entry: Entry): string {
	return seal(JSON.stringify(entry, (_key, value: unknown) => (typeof value === 'bigint' ? {$n: value.toString()} : value)));
}

/** @throws {SyntaxError} on JSON that a matching checksum covers and that still does not parse. */
export function fromJson(json: string): unknown {
	return JSON.parse(json, (_key, value: unknown) => {
		if (typeof value === 'object' && value !== null && '$n' in value && typeof value.$n === 'string') return BigInt(value.$n);
		return value;
	});
}
