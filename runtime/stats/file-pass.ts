import type {Kernel} from '../../native/native.js';

/** Text of one file of a pass that is over; null: it could not be read. */
export type FileText = () => string | null;

/** Collects the paths of small files of the kernel, reads all of them in one native pass, and hands each asker its own. */
export class FilePass {
	readonly #paths: string[] = [];
	readonly #byPath = new Map<string, number>();
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

	async run(kernel: Pick<Kernel, 'readFiles'>): Promise<void> {
		this.#contents = await kernel.readFiles(this.#paths);
	}

	#text(index: number): string | null {
		if (this.#contents === null) throw new Error('a file of a pass was asked for before the pass');
		const content = this.#contents[index] ?? null;
		return content === null ? null : Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
	}
}
