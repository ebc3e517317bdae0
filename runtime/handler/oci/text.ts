import {randomUUID} from 'node:crypto';
import type {OciText} from '../../../native/native.js';
import {toJson} from './spec.js';

/** What stands for the bundle's directory (part of a string) and, as whole values, the user, HOME's line and a bind's options. */
export interface Gaps {
	readonly bundle: string;
	readonly user: string;
	readonly home: string;
	readonly mountOptions: string;
}

/** JSON with gaps for what only the monitor's set-up knows, marked by words that nobody can have written into the config. */
export function toOciText(build: (gaps: Gaps) => object): OciText {
	const mark = randomUUID();
	const values = ['user', 'home', 'mountOptions'] as const;
	const json = toJson(build({bundle: `${mark}-bundle`, user: `${mark}-user`, home: `${mark}-home`, mountOptions: `${mark}-mountOptions`}));
	const parts = json.split(new RegExp(`(${mark}-bundle|"${mark}-(?:${values.join('|')})")`));
	const toInsert = (gap: string | undefined): OciText[number]['insert'] =>
		gap === undefined ? null : (values.find(name => gap === `"${mark}-${name}"`) ?? 'bundle');
	const pieces: {text: string; insert: OciText[number]['insert']}[] = [];
	// Every second one is what the expression found.
	for (let at = 0; at < parts.length; at += 2) pieces.push({text: parts[at] ?? '', insert: toInsert(parts[at + 1])});
	return pieces;
}
