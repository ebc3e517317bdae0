import {finished} from 'node:stream/promises';
import type {Readable, Writable} from 'node:stream';
import {systemClock} from '../../base/clock.js';
import type {AttachSession} from '../../native/native.js';
import type {Channels, Outcome} from './channels.js';
import {connectResize, finishChannels} from './exec.js';
import {pumpUntilExit} from './pump.js';

const FLUSH_MS = 500;

export interface Attaching {
	/** The container's stdin is closed when the client's is. */
	readonly stdinOnce: boolean;
	readonly open: () => Promise<AttachSession>;
}

/**
 * Joins a client to a container's streams until one of them ends. The container goes on when the client goes; its exit code is not the client's (as with the
 * peers: kubectl asks for the status). Never rejects.
 *
 * @returns How it ended, for the log.
 */
export async function serveAttach(channels: Channels, {stdinOnce, open}: Attaching): Promise<Outcome> {
	let outcome: Outcome;
	try {
		outcome = await runAttached(channels, stdinOnce, await open());
	} catch (error) {
		outcome = {failure: `error attaching to container: ${(error as Error).message}`};
	}
	await finishChannels(channels, outcome);
	return outcome;
}

async function runAttached({streams, closed}: Channels, stdinOnce: boolean, session: AttachSession): Promise<Outcome> {
	const gone = new Promise<'left'>(resolve => {
		if (closed.aborted) resolve('left');
		closed.addEventListener('abort', () => resolve('left'), {once: true});
	});
	connectResize(streams.get('resize') ?? null, session);
	const inputOver = connectStdin(streams.get('stdin') ?? null, session, stdinOnce);
	const over = endOf(session, [gone, inputOver]);
	const pumps: Promise<void>[] = [];
	for (const type of ['stdout', 'stderr'] as const) {
		const source = session[type];
		if (source !== null) pumps.push(pumpUntilExit(source, streams.get(type) ?? null, over));
	}
	// A client that is gone takes nothing more: its pumps end with their sinks.
	await Promise.all(pumps);
	const skippedBytes = await over;
	return skippedBytes === null ? {exitCode: 0} : toOutcome(skippedBytes, session.tty);
}

/** How many bytes were skipped when the container ends; null when the client leaves first. After either, all that is to come is in the session's streams. */
async function endOf(session: AttachSession, leaving: readonly Promise<'left'>[]): Promise<number | null> {
	let end: number | 'left' = 'left';
	try {
		end = await Promise.race([session.ended, ...leaving]);
	} finally {
		if (end === 'left') {
			await flush(session.stdin);
			// A monitor that is gone holds nothing any more.
			await session.detach().catch(() => {});
		}
	}
	return end === 'left' ? null : end;
}

/** What a client sent before it left is the container's, if it takes it soon. */
async function flush(stdin: Writable | null): Promise<void> {
	if (stdin === null || stdin.destroyed || stdin.writableLength === 0) return;
	const flushed = new AbortController();
	const written = finished(stdin, {readable: false})
		.catch(() => {})
		.finally(() => flushed.abort());
	stdin.end();
	await Promise.race([written, systemClock.sleep(FLUSH_MS, flushed.signal)]);
}

/** What a client lacks is an error, or a copy would have a gap that nobody knows of. A terminal shows what is there. */
function toOutcome(skippedBytes: number, tty: boolean): Outcome {
	if (skippedBytes === 0 || tty) return {exitCode: 0};
	return {failure: `the client read too slowly: ${skippedBytes} bytes of output were skipped`};
}

/**
 * Resolves when the client's end of input is the end of the session: it is where stdin stays open for the next client, which clients rely on
 * (kubectl run --leave-stdin-open), and with a terminal, whose input has no end. Otherwise it becomes the end of the container's input.
 */
async function connectStdin(from: Readable | null, session: AttachSession, stdinOnce: boolean): Promise<'left'> {
	const never = new Promise<never>(() => {});
	const to = session.stdin;
	if (from === null) return await never;
	if (to === null) {
		from.resume();
		return await never;
	}
	const ended = finished(from, {writable: false}).then(
		() => true,
		// The client reset the stream or is gone: not an end that it said.
		() => false,
	);
	// Closed by the container or for another client: the rest goes nowhere, or the client's other streams would stand still.
	to.on('close', () => {
		from.unpipe(to);
		from.resume();
	});
	from.pipe(to);
	if (!(await ended)) return await never;
	if (!stdinOnce || session.tty) return 'left';
	// After what was sent is written.
	await finished(to, {readable: false}).catch(() => {});
	await session.closeStdin().catch(() => {});
	return await never;
}
