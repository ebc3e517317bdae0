import {destination, pino, stdSerializers, stdTimeFunctions, type DestinationStream, type Logger} from 'pino';
import {RuntimeError} from '../base/errors.js';
import type {Config} from './config-schema.js';

/** What a reader that does not read may cost; beyond it lines are dropped. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;

export interface DaemonLog {
	readonly log: Logger;
	/** Writes out what is buffered, blocking: for the end of the process only. */
	flush(): void;
}

/**
 * The daemon's log on stderr: JSON, one object a line, for the journal of the machine; for people where it is a terminal.
 * Written from the thread pool: a slow reader stops no call.
 *
 * @param terminal Whether stderr is one.
 */
export async function openLog(options: Config['log'], terminal: boolean): Promise<DaemonLog> {
	const human = options.format === 'human' || (options.format === 'auto' && terminal);
	const settings = {level: options.level, base: null, timestamp: stdTimeFunctions.isoTime, serializers: {err: serializeError}};
	if (human) return {log: pino(settings, await humanStream(terminal)), flush() {}};
	const stream = destination({dest: 2, sync: false, maxLength: MAX_BUFFERED_BYTES});
	// The reader may die; the daemon goes on without a log.
	stream.on('error', () => {});
	return {log: pino(settings, stream), flush: () => stream.flushSync()};
}

async function humanStream(terminal: boolean): Promise<DestinationStream> {
	// Loaded only where somebody looks: it costs memory that a daemon has no use for.
	const {default: pretty} = await import('pino-pretty');
	return pretty({destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', colorize: terminal});
}

/** What decides on an error, and its stack only where it is a bug: an error of ours says where it comes from. */
export function serializeError(error: unknown): object {
	if (!(error instanceof Error)) return {message: String(error)};
	if (!(error instanceof RuntimeError)) return stdSerializers.err(error);
	const cause = error.cause === undefined ? {} : {cause: serializeError(error.cause)};
	return {...error.details, code: error.code, message: error.message, ...cause};
}
