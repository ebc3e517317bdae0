import type {Kernel} from '../../native/native.js';

/** Text of one file of a pass that is over; null: it could not be read. */
export type FileText = () => string | null;

/** Collects the paths of small files of the kernel, reads all of them in one native pass, and hands each asker its own. */
export class FilePass {
	readonly #paths: string[] = [];
	readonly #byPath = new Map<string, number>();
	/** By the function that made it, then by path. */
	readonly #parsed = new Map<unknown, Map<string, unknown>>();
	#contents: readonly (Uint8Array | null)[] | null = null;

	/** A path that is asked for twice is read once. null: there is no such file on this machine. */
	add(path: string | null): FileText {
		if (path === null) return () => null;
		let index = this.#byPath.get(path);
		if (index === undefined) {
			index = this.#paths.push(path) - 1;
			this.#byPath.set(path, index);
		}
		const at = index;
		return () => this.#text(at);
	}

	/** A file that many ask for alike: parsed once per pass, when the first asks. `parse` is the same function each time. */
	addParsed<T>(path: string, parse: (text: string) => T): () => T {
		const text = this.add(path);
		const parsed = this.#parsed.get(parse) ?? new Map<string, unknown>();
		this.#parsed.set(parse, parsed);
		return () => {
			if (!parsed.has(path)) parsed.set(path, parse(text() ?? ''));
			return parsed.get(path) as T;
		};
	}

	async run(kernel: Pick<Kernel, 'readFiles'>): Promise<void> {
		this.#contents = await kernel.readFiles(this.#paths);
	}

	#text(index: number): string | null {
		if (this.#contents === null) throw new Error('a file of a pass was asked for before the pass');
		const content = this.#contents[index] ?? null;
		return content === null ? null : Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
	}
}
