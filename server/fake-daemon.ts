import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {silentLog} from '../base/log.js';
import type {Runtime} from '../runtime/runtime.js';
import type {Daemon} from './call.js';

/** For tests: a daemon of what the handler under test touches, and no more. */
export function fakeDaemon(
	parts: {readonly runtime?: object; readonly streaming?: Partial<Daemon['streaming']>; readonly log?: Partial<Daemon['log']>} = {},
): Daemon {
	return {
		runtime: (parts.runtime ?? {}) as Runtime,
		streaming: {
			execUrl: () => 'http://127.0.0.1:1/exec/t',
			attachUrl: () => 'http://127.0.0.1:1/attach/t',
			portForwardUrl: () => 'http://127.0.0.1:1/portforward/t',
			close: async () => {},
			...parts.streaming,
		},
		log: {...silentLog, ...parts.log},
		facts: {version: '0.0.0', nodeVersion: 'v24.0.0', kernelRelease: '6.1.0', socketPath: '/run/berth/berth.sock'},
	};
}

/** For tests: a directory of the test's own, removed at its end. */
export async function temporaryDirectory(t: {teardown(work: () => Promise<void>): void}): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), 'berth-server-'));
	t.teardown(() => rm(path, {recursive: true, force: true}));
	return path;
}
