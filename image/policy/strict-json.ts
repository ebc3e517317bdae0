import {CorruptError} from '../../base/errors.js';

export type Path = readonly (string | number)[];

/** JSON of which nothing is guessed, and which knows its lines. */
export interface StrictJson {
	readonly value: unknown;
	/** From 1, of the deepest key on the path that the text has; null for none. */
	lineOf(path: Path): number | null;
}

/** White space; then a string, a mark, or a number or word. */
const TOKEN = /\s*(?:("[^"\\]*(?:\\.[^"\\]*)*")|([{}[\]:,])|([^\s{}[\]:,"]+)|$)/gy;

/**
 * JSON.parse takes the last of two equal keys; in a policy or a signed statement both may have been meant, so that is an error here.
 *
 * @throws {CorruptError} in one line; details.line where it is known.
 */
export function parseStrictJson(text: string): StrictJson {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		const message = (cause as Error).message.replaceAll(/\s+/g, ' ');
		const line = / \(line (\d+) column \d+\)$/.exec(message)?.[1];
		throw new CorruptError(message, line === undefined ? {} : {line: Number(line)}, {cause});
	}
	const root = findLines(text);
	const lineOf = (path: Path): number | null => {
		let line: number | null = null;
		let place: Place | undefined = root;
		for (const key of path) {
			place = place.children.get(key);
			if (place === undefined) break;
			line = place.line ?? line;
		}
		return line;
	};
	return {value, lineOf};
}

/** A value of the text. A tree, not paths: these would cost more than the text that makes them. */
interface Place {
	/** Of its key; null for an item of an array. */
	readonly line: number | null;
	/** By key or index; of an array only what is itself an object or array. */
	readonly children: Map<string | number, Place>;
}

/** An object or array that is open at a token. */
interface Frame {
	readonly place: Place;
	readonly isArray: boolean;
	/** The key or index whose value comes or came last. */
	at: string | number;
	wantsKey: boolean;
}

/** `text` is JSON. @throws {CorruptError} a key comes twice in one object. */
function findLines(text: string): Place {
	const root: Place = {line: null, children: new Map()};
	const frames: Frame[] = [];
	let line = 1;
	for (const [token, string, mark] of text.matchAll(TOKEN)) {
		line += token.split('\n').length - 1;
		const frame = frames.at(-1);
		if (mark === '{' || mark === '[') frames.push({place: frame === undefined ? root : placeAt(frame), isArray: mark === '[', at: 0, wantsKey: mark === '{'});
		else if (mark === '}' || mark === ']') frames.pop();
		else if (frame === undefined) continue;
		else if (mark === ',' && frame.isArray) frame.at = Number(frame.at) + 1;
		else if (mark === ',') frame.wantsKey = true;
		else if (string !== undefined && frame.wantsKey) takeKey(frame, JSON.parse(string) as string, line);
	}
	return root;
}

function takeKey(frame: Frame, key: string, line: number): void {
	if (frame.place.children.has(key)) throw new CorruptError(`key ${JSON.stringify(key.slice(0, 100))} comes twice`, {line});
	frame.place.children.set(key, {line, children: new Map()});
	frame.at = key;
	frame.wantsKey = false;
}

function placeAt({place, at}: Frame): Place {
	const known = place.children.get(at);
	if (known !== undefined) return known;
	const made = {line: null, children: new Map()};
	place.children.set(at, made);
	return made;
}
