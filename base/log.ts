import type {Logger as PinoLogger} from 'pino';

/** What a folder below server/ may do with the log. server/main.ts hands down pino. */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

/** For tests and for construction before the log exists. */
export const silentLog: Logger = {
	debug() {},
	info() {},
	warn() {},
	error() {},
	child: () => silentLog as never,
};
