import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {PassThrough} from 'node:stream';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../../base/clock.js';
import {silentLog} from '../../../base/log.js';
import type {ExitRecord, Kernel, Monitor, MonitorContainer, ProgramResult} from '../../../native/native.js';
import {loadShim} from '../../../proto/loader.js';
import type {SandboxRecord} from '../../sandbox/record.js';
import {ShimPod, type ShimHost} from './pod.js';
import {TtrpcServer} from './ttrpc-server.js';
import {TtrpcStatusError} from './ttrpc.js';

const wire = loadShim();
const NOT_FOUND = 5;
const UNKNOWN = 2;
const POD = 'pod';

/** A pod of an earlier daemon, with a shim that knows the tasks of `known` and no others, which all run. */
async function reconnectPod(t: ExecutionContext, known: readonly string[], containers: readonly string[]) {
	const runDir = await mkdtemp(join(tmpdir(), 'shim-pod-'));
	t.teardown(async () => await rm(runDir, {recursive: true, force: true}));
	const path = join(runDir, 'shim.sock');
	await mkdir(join(runDir, 'shims', POD), {recursive: true});
	await writeFile(join(runDir, 'shims', POD, 'address.json'), JSON.stringify({version: 3, address: `unix://${path}`}));
	const find = (payload: Buffer): string => {
		const {id} = wire.task.State.requestDeserialize(payload);
		if (!known.includes(id)) throw new TtrpcStatusError('State', NOT_FOUND, `task ${id} not found`);
		return id;
	};
	/** What tasks are, one answer after the other; the last one stays. */
	const statuses: ('RUNNING' | 'PAUSED' | 'STOPPED')[] = ['RUNNING'];
	const running = (payload: Buffer): Buffer => {
		const status = (statuses.length > 1 ? statuses.shift() : statuses[0]) ?? 'STOPPED';
		return wire.task.State.responseSerialize({id: find(payload), pid: 7, status});
	};
	const noAnswer = new TtrpcStatusError('Wait', NOT_FOUND, 'not asked here');
	const shim = await TtrpcServer.listen(
		path,
		new Map([
			['containerd.task.v3.Task/State', running],
			[
				'containerd.task.v3.Task/Wait',
				() => {
					throw noAnswer;
				},
			],
			[
				'containerd.task.v3.Task/Resume',
				() => {
					throw new TtrpcStatusError('Resume', UNKNOWN, 'container not paused');
				},
			],
		]),
		wire,
	);
	const exits = new Map<string, ExitRecord>();
	/** Of the binary's "delete", by task. */
	const deletes: string[] = [];
	const state = {binaryFails: false};
	const monitor = {
		sandboxId: POD,
		pid: 0,
		list: async () =>
			containers.map((containerId): MonitorContainer => {
				const exit = exits.get(containerId) ?? null;
				return {containerId, pid: 0, phase: exit === null ? 'running' : 'exited', startedAtNs: 0n, exit};
			}),
		foreignExited: async (containerId: string, exit: ExitRecord) => void exits.set(containerId, exit),
	} as unknown as Monitor;
	const kernel = {
		openFifoReader: async () => ({stream: new PassThrough(), end: () => undefined}),
		runProgram: async ({args}: {readonly args: readonly string[]}): Promise<ProgramResult> => {
			deletes.push(args[args.indexOf('-id') + 1] ?? '');
			const stdout = wire.command.Delete.responseSerialize({exit_status: 137, exited_at: null});
			return {exitCode: state.binaryFails ? 1 : 0, stdout, stderr: new Uint8Array(), timedOut: false} as ProgramResult;
		},
	} as unknown as Kernel;
	const host: ShimHost = {
		kernel,
		clock: systemClock,
		log: silentLog,
		wire,
		binary: {path: '/none', eventsPath: '/none', socketDir: null, timeoutMs: 1000, env: []},
		runDir,
		handler: {name: 'shim', type: 'shim-v2', path: '/none', options: [], timeoutMs: 1000},
		options: null,
		pauseDir: '/none',
		shimCgroups: () => [],
		pauseCgroupName: ({id}) => id,
		takeOom: () => false,
	};
	const pod = new ShimPod(host, {id: POD} as SandboxRecord, {monitor, shmSizeBytes: null});
	await pod.reconnect();
	return {pod, shim, exits, deletes, state, statuses};
}

async function until(condition: () => boolean): Promise<void> {
	while (!condition()) await systemClock.sleep(5);
}

test('a container that the last daemon made without a task is over after its restart, so that the pod can be stopped', async t => {
	const {shim, exits} = await reconnectPod(t, [POD, 'lives'], ['lives', 'doomed']);
	t.teardown(async () => await shim.close());
	t.like(exits.get('doomed'), {exitCode: 137});
	t.false(exits.has('lives'));
});

test('a shim is lost and its binary fails: a signal ends the tasks later, each by itself', async t => {
	const {pod, shim, exits, deletes, state} = await reconnectPod(t, [POD, 'a', 'b'], ['a', 'b']);
	state.binaryFails = true;
	await shim.close();
	await until(() => deletes.includes(POD));
	t.deepEqual([...new Set(deletes)].sort(), ['a', 'b', POD]);
	t.is(exits.size, 0);
	state.binaryFails = false;
	await pod.signal('a', 9, true);
	t.like(exits.get('a'), {exitCode: 137});
	t.like(exits.get('b'), {exitCode: 137});
});

test('a paused container that SIGKILL ends, as cgroup v2 does, need not be resumed; one that stays paused is told', async t => {
	const {pod, shim, statuses} = await reconnectPod(t, [POD, 'a'], ['a']);
	t.teardown(async () => await shim.close());
	statuses.splice(0, 1, 'PAUSED', 'PAUSED', 'PAUSED', 'STOPPED');
	await pod.resume('a');
	t.deepEqual(statuses, ['STOPPED']);
	statuses.splice(0, 1, 'PAUSED');
	await t.throwsAsync(pod.resume('a'), {instanceOf: TtrpcStatusError, message: /container not paused/});
});
