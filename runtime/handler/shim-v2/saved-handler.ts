import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeFileAtomic} from '../../../base/atomic-file.js';
import {CorruptError} from '../../../base/errors.js';
import type {HandlerOptions} from '../handler.js';

/** Beside the pod's bundles (bundles.ts), on tmpfs: like the shim, it does not outlive the boot. */
function fileOf(runDir: string, sandboxId: string): string {
	return join(runDir, 'shims', sandboxId, 'handler.json');
}

/** Keeps what is needed to end the pod after its handler was taken out of the config. The pod's directory is there. */
export async function saveHandler(runDir: string, sandboxId: string, {name, type, path, options, timeoutMs}: HandlerOptions): Promise<void> {
	await writeFileAtomic(fileOf(runDir, sandboxId), JSON.stringify({name, type, path, options, timeoutMs}));
}

/**
 * null: the pod has none, so it was made by no shim (or by a version that kept nothing).
 *
 * @throws {CorruptError} what is there is no handler.
 */
export async function readSavedHandler(runDir: string, sandboxId: string): Promise<HandlerOptions | null> {
	const path = fileOf(runDir, sandboxId);
	let text: string;
	try {
		text = await readFile(path, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw error;
	}
	const saved = parse(text);
	if (saved === null) throw new CorruptError(`${path}: not a runtime handler of type shim-v2`, {path});
	return saved;
}

function parse(text: string): HandlerOptions | null {
	let value: Partial<HandlerOptions>;
	try {
		value = JSON.parse(text) as Partial<HandlerOptions>;
	} catch {
		return null;
	}
	const {name, type, path, options, timeoutMs} = value;
	if (typeof name !== 'string' || type !== 'shim-v2' || typeof path !== 'string' || typeof timeoutMs !== 'number') return null;
	if (!Array.isArray(options) || !options.every(one => typeof one === 'string')) return null;
	return {name, type, path, options, timeoutMs};
}
