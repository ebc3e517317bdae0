import type {Logger} from '../base/log.js';
import type {Runtime} from '../runtime/runtime.js';
import type {StreamingServer} from './streaming/server.js';

/** What the handlers work with. Built once, in server/main.ts. */
export interface Daemon {
	readonly runtime: Runtime;
	readonly streaming: StreamingServer;
	readonly log: Logger;
	readonly facts: DaemonFacts;
}

/** For Version and the verbose Status. */
export interface DaemonFacts {
	/** Of berth. */
	readonly version: string;
	readonly nodeVersion: string;
	readonly kernelRelease: string;
	readonly socketPath: string;
}

/** What a handler gets besides its request. `signal` aborts when the client cancels or its deadline passes. */
export interface Call extends Daemon {
	readonly signal: AbortSignal;
}
