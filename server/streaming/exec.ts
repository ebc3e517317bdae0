import {finished} from 'node:stream/promises';
import type {Readable, Writable} from 'node:stream';
import type {ExecSession} from '../../native/native.js';
import {outcomeText, type Channels, type Outcome} from './channels.js';
import {pumpUntilExit} from './pump.js';

/**
 * Runs a command with the client's streams and tells it how it ended. When the client goes first, the command is killed. Never rejects.
 *
 * @returns How it ended, for the log.
 */
export async function serveExec(channels: Channels, open: () => Promise<ExecSession>): Promise<Outcome> {
	let outcome: Outcome;
	try {
		outcome = {exitCode: await runSession(channels, await open())};
	} catch (error) {
		outcome = {failure: `error executing command in container: ${(error as Error).message}`};
	}
	await finishChannels(channels, outcome);
	return outcome;
}

async function runSession({streams, closed}: Channels, session: ExecSession): Promise<number> {
	const kill = (): void => session.kill();
	if (closed.aborted) kill();
	closed.addEventListener('abort', kill, {once: true});
	try {
		connectStdin(streams.get('stdin') ?? null, session.stdin);
		connectResize(streams.get('resize') ?? null, session);
		const exited = session.exited;
		const pumps = [pumpUntilExit(session.stdout, streams.get('stdout') ?? null, exited)];
		if (session.stderr !== null) pumps.push(pumpUntilExit(session.stderr, streams.get('stderr') ?? null, exited));
		// A client that is gone takes nothing more: its pumps end with their sinks.
		await Promise.all(pumps);
		return await exited;
	} finally {
		closed.removeEventListener('abort', kill);
		streams.get('stdin')?.unpipe();
		for (const stream of [session.stdin, session.stdout, session.stderr]) stream?.destroy();
	}
}

/** The client's FIN becomes the end of the command's input. A command that closed its input early lets the rest go nowhere, or the client's other streams would stand still. */
function connectStdin(from: Readable | null, to: Writable | null): void {
	if (to === null) return void from?.resume();
	to.on('error', () => {
		from?.unpipe(to);
		from?.resume();
	});
	if (from === null) return void to.end();
	from.pipe(to);
}

/** JSON documents {"Width":…,"Height":…}, one after the other; a piece of the stream may hold several or a part of one. */
export function connectResize(from: Readable | null, session: Pick<ExecSession, 'resize'>): void {
	let text = '';
	from?.on('data', (chunk: Buffer) => {
		text += chunk.toString('latin1');
		for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
			const size = parseSize(text.slice(0, end + 1));
			text = text.slice(end + 1);
			if (size !== null) session.resize(size.columns, size.rows);
		}
		// No size is that long: what is not one is forgotten.
		if (text.length > 1024) text = '';
	});
}

export function parseSize(text: string): {readonly columns: number; readonly rows: number} | null {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return null;
	}
	const {Width: columns, Height: rows} = value as {readonly Width?: unknown; readonly Height?: unknown};
	return isSize(columns) && isSize(rows) ? {columns, rows} : null;
}

/** struct winsize has 16 bits; 0 means unknown, which no terminal is set to. */
function isSize(value: unknown): value is number {
	return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0xffff;
}

/** Output ends first, then the outcome is told: clients read the error stream to its end and then wait for the others. */
export async function finishChannels({version, streams}: Channels, outcome: Outcome): Promise<void> {
	for (const type of ['stdout', 'stderr'] as const) await endStream(streams.get(type), '');
	await endStream(streams.get('error'), outcomeText(version, outcome));
}

async function endStream(stream: (Readable & Writable) | undefined, text: string): Promise<void> {
	if (stream === undefined || !stream.writable) return;
	stream.end(text);
	try {
		await finished(stream, {readable: false});
	} catch {
		// The client is gone, or reset this stream: nobody is left to tell.
	}
}
