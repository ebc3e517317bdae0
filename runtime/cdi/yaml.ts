import {parseScalar} from './yaml-scalar.js';

/** A line that is not only a comment. */
interface Line {
	readonly number: number;
	readonly indent: number;
	readonly text: string;
}

/** What is wrong, and on which line. */
export class YamlError extends Error {
	constructor(line: number, rule: string) {
		super(`line ${line}: ${rule}`);
		this.name = 'YamlError';
	}
}

/**
 * Reads YAML as programs write it: block and flow mappings and sequences, plain and quoted scalars of one line, comments. Anything else (anchors, aliases,
 * tags, block scalars, several documents) is refused rather than guessed at: docs/decisions/0027-cdi.md.
 *
 * @returns null, booleans, numbers, strings, arrays and plain objects.
 * @throws {YamlError}
 * @see yaml.org/spec/1.2.2, chapters 6 to 8.
 */
export function parseYaml(text: string): unknown {
	const lines = toLines(text);
	if (lines.length === 0) return null;
	const reader = new BlockReader(lines);
	const value = reader.node(lines[0]?.indent ?? 0);
	reader.assertEnd();
	return value;
}

function toLines(text: string): Line[] {
	const lines: Line[] = [];
	for (const [index, raw] of text.split(/\r?\n/).entries()) {
		const number = index + 1;
		const content = stripComment(raw).trimEnd();
		if (content.trim() === '') continue;
		const indent = content.length - content.trimStart().length;
		if (content.slice(0, indent).includes('\t')) throw new YamlError(number, 'a tab among the blanks at its beginning');
		const isMarker = indent === 0 && /^(?:---|\.\.\.)(?:\s|$)/.test(content);
		if (isMarker && lines.length === 0 && content === '---') continue;
		if (isMarker || content.startsWith('%')) throw new YamlError(number, 'only one document, without directives, is read');
		lines.push({number, indent, text: content.slice(indent)});
	}
	return lines;
}

/** A "#" begins one at the start or after a blank, but not in quotes. */
function stripComment(line: string): string {
	let quote = '';
	for (let at = 0; at < line.length; at++) {
		const sign = line.charAt(at);
		if (quote === '"' && sign === '\\') at++;
		else if (quote !== '') quote = sign === quote ? '' : quote;
		else if ((sign === '"' || sign === "'") && /(?:^|[\s[{,:-])$/.test(line.slice(0, at))) quote = sign;
		else if (sign === '#' && /(?:^|\s)$/.test(line.slice(0, at))) return line.slice(0, at);
	}
	return line;
}

/** Nothing in it can match the same blanks twice: a long line takes no longer than its length. */
const KEY = /^(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'[\]{},&*!|>%@`#:]+)\s*|([^\s"'[\]{},&*!|>%@`#-][^:#]*)):(?:\s+|$)/;

class BlockReader {
	#at = 0;

	constructor(readonly lines: Line[]) {}

	assertEnd(): void {
		const line = this.lines[this.#at];
		if (line !== undefined) throw new YamlError(line.number, 'its indentation fits nothing above');
	}

	/** The mapping, sequence or scalar that begins at the current line. */
	node(indent: number): unknown {
		const line = this.#line();
		if (isItem(line.text)) return this.#sequence(indent);
		if (KEY.test(line.text)) return this.#mapping(indent);
		this.#at++;
		return parse(line.text, line.number);
	}

	#sequence(indent: number): unknown[] {
		const items: unknown[] = [];
		for (let line = this.lines[this.#at]; line?.indent === indent && isItem(line.text); line = this.lines[this.#at]) {
			const rest = line.text.slice(1).trimStart();
			if (rest === '') {
				this.#at++;
				items.push(this.#below(indent));
			} else {
				items.push(this.#inline({...line, indent: indent + line.text.length - rest.length, text: rest}));
			}
		}
		return items;
	}

	/** What follows a "-" on its line: the first line of a block of its own, as far in as it stands. */
	#inline(line: Line): unknown {
		this.lines[this.#at] = line;
		return this.node(line.indent);
	}

	#mapping(indent: number): object {
		const entries = new Map<string, unknown>();
		for (let line = this.lines[this.#at]; line?.indent === indent && !isItem(line.text); line = this.lines[this.#at]) {
			const found = KEY.exec(line.text);
			if (found === null) throw new YamlError(line.number, 'neither "key: value" nor an item');
			const key = String(parse(found[1] ?? found[2] ?? '', line.number));
			if (entries.has(key)) throw new YamlError(line.number, `the key "${key}" comes twice`);
			const rest = line.text.slice(found[0].length).trim();
			this.#at++;
			entries.set(key, rest === '' ? this.#value(indent) : parse(rest, line.number));
		}
		return Object.fromEntries(entries);
	}

	/** Of a key with nothing behind it: what is further in, or a sequence as far in as the key. */
	#value(indent: number): unknown {
		const line = this.lines[this.#at];
		return line?.indent === indent && isItem(line.text) ? this.#sequence(indent) : this.#below(indent);
	}

	#below(indent: number): unknown {
		const line = this.lines[this.#at];
		return line === undefined || line.indent <= indent ? null : this.node(line.indent);
	}

	#line(): Line {
		const line = this.lines[this.#at];
		if (line === undefined) throw new YamlError(this.lines.length, 'ends too early');
		return line;
	}
}

function isItem(text: string): boolean {
	return text === '-' || text.startsWith('- ');
}

function parse(text: string, line: number): unknown {
	try {
		return parseScalar(text);
	} catch (error) {
		throw new YamlError(line, (error as Error).message);
	}
}
