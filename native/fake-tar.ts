/** One member of an archive, for the tests of the unpacker: anything may be wrong in it. */
export interface FakeEntry {
	readonly path: string | Buffer;
	/** The typeflag; '0' (a file) unless said otherwise. */
	readonly type?: string;
	readonly content?: Buffer | string;
	readonly link?: string | Buffer;
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	/** Seconds; numbers that octal text cannot hold are written in base 256. */
	readonly mtime?: number;
	readonly major?: number;
	readonly minor?: number;
	/** What the header says when it is not the content's length. */
	readonly size?: number;
	/** Records of a PAX extended header in front. */
	readonly pax?: Readonly<Record<string, string | Buffer>>;
	/** Long names as GNU tar writes them instead of PAX. */
	readonly gnu?: boolean;
	/** Called before the checksum is written. */
	readonly spoil?: (header: Buffer) => void;
}

const BLOCK_BYTES = 512;
const END = Buffer.alloc(2 * BLOCK_BYTES);

/** An archive with its end mark. */
export function toTar(entries: readonly FakeEntry[]): Buffer {
	return Buffer.concat([...entries.map(toMember), END]);
}

/** An entry with the headers it needs in front, without an end mark. */
export function toMember(entry: FakeEntry): Buffer {
	const path = Buffer.from(entry.path);
	const link = Buffer.from(entry.link ?? '');
	const parts: Buffer[] = [];
	const pax: Record<string, string | Buffer> = {...entry.pax};
	if (path.length > 100) {
		if (entry.gnu === true) parts.push(toBlocks('L', Buffer.concat([path, Buffer.alloc(1)])));
		else pax['path'] = path;
	}
	if (link.length > 100) {
		if (entry.gnu === true) parts.push(toBlocks('K', Buffer.concat([link, Buffer.alloc(1)])));
		else pax['linkpath'] = link;
	}
	const records = Object.entries(pax).map(([key, value]) => toPaxRecord(key, value));
	if (records.length > 0) parts.push(toBlocks('x', Buffer.concat(records)));
	const content = Buffer.from(entry.content ?? '');
	return Buffer.concat([...parts, toHeader(entry, {path, link, sizeBytes: content.length}), content, padding(content.length)]);
}

/** A header of one of the types that describe another entry: x, g, L, K. */
export function toBlocks(type: string, content: Buffer): Buffer {
	const names = {path: Buffer.from('././@LongLink'), link: Buffer.alloc(0), sizeBytes: content.length};
	return Buffer.concat([toHeader({path: '', type}, names), content, padding(content.length)]);
}

/** "<length> <key>=<value>\n", the length of which counts itself. */
export function toPaxRecord(key: string, value: string | Buffer): Buffer {
	const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
	let length = rest.length + 1;
	while (rest.length + String(length).length !== length) length = rest.length + String(length).length;
	return Buffer.concat([Buffer.from(String(length)), rest]);
}

function toHeader(entry: FakeEntry, names: {readonly path: Buffer; readonly link: Buffer; readonly sizeBytes: number}): Buffer {
	const header = Buffer.alloc(BLOCK_BYTES);
	names.path.copy(header, 0, 0, 100);
	writeNumber(header, 100, 8, entry.mode ?? (entry.type === '5' ? 0o755 : 0o644));
	writeNumber(header, 108, 8, entry.uid ?? 0);
	writeNumber(header, 116, 8, entry.gid ?? 0);
	writeNumber(header, 124, 12, entry.size ?? names.sizeBytes);
	writeNumber(header, 136, 12, entry.mtime ?? 0);
	header.write(entry.type ?? '0', 156, 'latin1');
	names.link.copy(header, 157, 0, 100);
	header.write(entry.gnu === true ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
	if (entry.major !== undefined) writeNumber(header, 329, 8, entry.major);
	if (entry.minor !== undefined) writeNumber(header, 337, 8, entry.minor);
	entry.spoil?.(header);
	header.fill(' ', 148, 156);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return header;
}

function writeNumber(header: Buffer, offset: number, length: number, value: number): void {
	if (value >= 0 && value < 8 ** (length - 1)) {
		header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
		return;
	}
	let rest = BigInt(value);
	for (let i = offset + length - 1; i >= offset; i--) {
		header[i] = Number(rest & 0xffn);
		rest >>= 8n;
	}
	header[offset]! |= 0x80;
}

function padding(sizeBytes: number): Buffer {
	return Buffer.alloc(-sizeBytes & (BLOCK_BYTES - 1));
}
