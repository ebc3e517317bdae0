import type {Readable, Writable} from 'node:stream';

/**
 * Copies `source` to `sink` until it ends, or until it is empty after `exited` settled: a child in the background may hold the pipe open for ever.
 * A sink that breaks does not stop the reading, or the program would block on a full pipe. Does not end the sink. Never rejects.
 */
export async function pumpUntilExit(source: Readable, sink: Writable | null, exited: Promise<unknown>): Promise<void> {
	let over = false;
	let wake = (): void => {};
	const ring = (): void => wake();
	const finish = (): void => {
		over = true;
		wake();
	};
	exited.then(finish, finish);
	for (const event of ['end', 'close', 'error']) source.on(event, finish);
	source.on('readable', ring);
	for (;;) {
		// Before reading: what was in the pipe when the program ended is in the buffer by now.
		const last = over;
		const chunk = source.read() as Buffer | null;
		if (chunk !== null) await write(sink, chunk);
		else if (last) break;
		else if (!over) await new Promise<void>(resolve => (wake = resolve));
	}
	source.off('readable', ring);
}

async function write(sink: Writable | null, chunk: Buffer): Promise<void> {
	if (sink === null || !sink.writable) return;
	await new Promise<void>(resolve => sink.write(chunk, () => resolve()));
}
