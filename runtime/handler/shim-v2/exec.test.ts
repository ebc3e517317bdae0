import {tmpdir} from 'node:os';
import {PassThrough} from 'node:stream';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import {systemClock} from '../../../base/clock.js';
import type {ExecRequest, Kernel} from '../../../native/native.js';
import {execSyncByShim} from './exec.js';
import type {ShimTasks} from './tasks.js';

const CHUNK_BYTES = 1 << 20;
const CHUNKS = 256;
const KEPT_BYTES = 4096;

const inherited: ExecRequest['process'] = {
	args: ['yes'],
	env: [],
	cwd: '/',
	user: {spec: '', uid: 0, gid: 0, supplementalGids: [], groupsPolicy: 'strict'},
	capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
	noNewPrivileges: true,
	rlimits: [],
	oomScoreAdj: null,
	seccomp: null,
	tty: false,
	apparmorProfile: null,
	selinuxLabel: null,
};

test('ExecSync by a shim: output beyond the limit costs no memory, however much there is', async t => {
	setFlagsFromString('--expose-gc');
	const gc = runInNewContext('gc') as () => void;
	const streams: PassThrough[] = [];
	const kernel = {
		openFifoReader: async () => {
			const stream = new PassThrough();
			streams.push(stream);
			return {stream, end: () => void stream.destroy()};
		},
	} as unknown as Kernel;
	let grownBytes = 0;
	const tasks = {
		exec: async () => {},
		start: async () => 7,
		wait: async () => {
			const [stdout, stderr] = streams;
			gc();
			const before = process.memoryUsage().arrayBuffers;
			for (let sent = 0; sent < CHUNKS; sent++) {
				stdout?.write(Buffer.alloc(CHUNK_BYTES, 'y'));
				await new Promise(resolve => void setImmediate(resolve));
			}
			gc();
			grownBytes = process.memoryUsage().arrayBuffers - before;
			stdout?.end();
			stderr?.end();
			return {exitCode: 0, finishedAtNs: 0n};
		},
		delete: async () => {},
	} as unknown as ShimTasks;
	const place = {tasks, kernel, clock: systemClock, bundleDir: tmpdir()};
	const request = {containerId: 'c', execId: 'no-such-exec', process: inherited} as ExecRequest;
	const result = await execSyncByShim(place, request, {timeoutMs: 0, maxOutputBytes: KEPT_BYTES, signal: null});
	t.like(result, {exitCode: 0, timedOut: false, truncated: true});
	t.is(Buffer.from(result.stdout).toString(), 'y'.repeat(KEPT_BYTES));
	t.true(grownBytes < (CHUNKS * CHUNK_BYTES) / 4, `${grownBytes} bytes are kept of ${CHUNKS * CHUNK_BYTES}`);
});
