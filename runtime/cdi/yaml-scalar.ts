const ESCAPES: Readonly<Record<string, string>> = {
	'0': '\0',
	a: '\x07',
	b: '\b',
	t: '\t',
	n: '\n',
	v: '\v',
	f: '\f',
	r: '\r',
	e: '\x1b',
	' ': ' ',
	'"': '"',
	'/': '/',
	'\\': '\\',
};

/**
 * A scalar or a flow collection that takes the whole text.
 *
 * @throws {Error} with the rule.
 * @see yaml.org/spec/1.2.2, 7.3 and 7.4; 10.3 for what plain scalars are, with YAML 1.1's octal numbers, which Go's readers take too.
 */
export function parseScalar(text: string): unknown {
	const reader = new FlowReader(text);
	const value = reader.value(false);
	reader.assertEnd();
	return value;
}

class FlowReader {
	#at = 0;

	constructor(readonly text: string) {}

	assertEnd(): void {
		if (this.#at < this.text.length) throw new Error(`"${this.text.slice(this.#at)}" after the end of a value`);
	}

	/** @param inFlow Within brackets a plain scalar ends at what would end its place there. */
	value(inFlow: boolean): unknown {
		const sign = this.text.charAt(this.#at);
		if (sign === '[') return this.#sequence();
		if (sign === '{') return this.#mapping();
		if (sign === '"') return this.#doubleQuoted();
		if (sign === "'") return this.#singleQuoted();
		return toPlain(this.#plain(inFlow));
	}

	#sequence(): unknown[] {
		const items: unknown[] = [];
		this.#at++;
		for (;;) {
			if (this.#takes(']')) return items;
			items.push(this.value(true));
			if (!this.#takes(',') && !this.#sees(']')) throw new Error('a sequence in brackets does not end on its line');
		}
	}

	#mapping(): object {
		const entries = new Map<string, unknown>();
		this.#at++;
		for (;;) {
			if (this.#takes('}')) return Object.fromEntries(entries);
			const key = String(this.value(true));
			if (entries.has(key)) throw new Error(`the key "${key}" comes twice`);
			entries.set(key, this.#takes(':') && !this.#sees(',') && !this.#sees('}') ? this.value(true) : null);
			if (!this.#takes(',') && !this.#sees('}')) throw new Error('a mapping in braces does not end on its line');
		}
	}

	#doubleQuoted(): string {
		let value = '';
		for (this.#at++; this.#at < this.text.length; this.#at++) {
			const sign = this.text.charAt(this.#at);
			if (sign === '"') {
				this.#at++;
				return value;
			}
			value += sign === '\\' ? this.#escape() : sign;
		}
		throw new Error('a string in quotes does not end on its line');
	}

	#escape(): string {
		const sign = this.text.charAt(++this.#at);
		const digits = {x: 2, u: 4, U: 8}[sign];
		if (digits === undefined) {
			const known = ESCAPES[sign];
			if (known === undefined) throw new Error(`"\\${sign}" is no escape`);
			return known;
		}
		const code = this.text.slice(this.#at + 1, this.#at + 1 + digits);
		if (code.length !== digits || !/^[0-9a-fA-F]+$/.test(code) || Number.parseInt(code, 16) > 0x10_ffff) throw new Error(`"\\${sign}${code}" is no escape`);
		this.#at += digits;
		return String.fromCodePoint(Number.parseInt(code, 16));
	}

	#singleQuoted(): string {
		const [whole, inner] = /^'((?:[^']|'')*)'/.exec(this.text.slice(this.#at)) ?? [];
		if (whole === undefined) throw new Error('a string in quotes does not end on its line');
		this.#at += whole.length;
		return (inner ?? '').replaceAll("''", "'");
	}

	#plain(inFlow: boolean): string {
		const rest = this.text.slice(this.#at);
		const [plain = ''] = (inFlow ? /^(?:[^,[\]{}:]|:(?![\s,[\]{}]|$))*/ : /^.*$/s).exec(rest) ?? [];
		if (/^[&*!|>%@`]/.test(plain)) throw new Error(`what "${plain.charAt(0)}" begins is not read`);
		if (!inFlow && /:(?:\s|$)/.test(plain)) throw new Error('a mapping where a value was to be');
		if (plain === '-' || plain.startsWith('- ')) throw new Error('an item where a value was to be');
		this.#at += plain.length;
		return plain.trim();
	}

	/** Skips blanks. */
	#sees(sign: string): boolean {
		while (/\s/.test(this.text.charAt(this.#at))) this.#at++;
		return this.text.charAt(this.#at) === sign;
	}

	#takes(sign: string): boolean {
		if (!this.#sees(sign)) return false;
		this.#at++;
		while (/\s/.test(this.text.charAt(this.#at))) this.#at++;
		return true;
	}
}

function toPlain(text: string): unknown {
	if (/^(?:~|null|Null|NULL|)$/.test(text)) return null;
	if (/^(?:true|True|TRUE)$/.test(text)) return true;
	if (/^(?:false|False|FALSE)$/.test(text)) return false;
	const [, octal] = /^0o?([0-7]+)$/.exec(text) ?? [];
	if (octal !== undefined) return Number.parseInt(octal, 8);
	if (/^[-+]?\d+$/.test(text) || /^0x[0-9a-fA-F]+$/.test(text)) return Number(text);
	if (/^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/.test(text)) return Number(text);
	return text;
}
