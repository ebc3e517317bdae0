import {randomBytes} from 'node:crypto';
import {cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {systemClock} from '../../../base/clock.js';
import {FailedError, SyscallError} from '../../../base/errors.js';
import {openNative} from '../../../native/open-native.js';
import type {FifoReader} from '../../../native/native.js';
import {loadShim} from '../../../proto/loader.js';
import {serveShimEvents, shimEventsPath} from './events.js';
import {deleteShim, startShim, type ShimBinary} from './shim.js';
import {ShimTasks} from './tasks.js';
import {TtrpcStatusError} from './ttrpc.js';

const CACHE_DIR = fileURLToPath(new URL('../../../../.cache/', import.meta.url));
const SHIM = join(CACHE_DIR, 'tools/containerd-shim-runc-v2');
const wire = loadShim();
const {kernel} = openNative();

interface Rig {
	readonly dir: string;
	readonly id: string;
	readonly bundleDir: string;
	readonly binary: ShimBinary;
	readonly ooms: string[];
}

/** A bundle of one program, with no namespaces but those that it must have. */
async function makeRig(t: ExecutionContext, args: readonly string[], more: {readonly terminal?: boolean; readonly path?: string} = {}): Promise<Rig> {
	const dir = await mkdtemp('/run/berth-shim-');
	const id = `shimtest${randomBytes(4).toString('hex')}`;
	const bundleDir = join(dir, id);
	await mkdir(join(bundleDir, 'rootfs/bin'), {recursive: true});
	await cp(join(CACHE_DIR, 'image-files/busybox'), join(bundleDir, 'rootfs/bin/busybox'));
	const spec = {
		ociVersion: '1.0.2',
		process: {terminal: more.terminal ?? false, user: {uid: 0, gid: 0}, args: ['/bin/busybox', ...args], env: ['PATH=/bin'], cwd: '/'},
		root: {path: 'rootfs'},
		mounts: [{destination: '/proc', type: 'proc', source: 'proc'}],
		linux: {namespaces: ['pid', 'mount', 'ipc', 'uts'].map(type => ({type})), cgroupsPath: `/berth-${id}`},
	};
	await writeFile(join(bundleDir, 'config.json'), JSON.stringify(spec));
	const ooms: string[] = [];
	const events = await serveShimEvents(dir, wire, {onOom: taskId => void ooms.push(taskId)});
	t.teardown(async () => {
		await events.close();
		await rm(dir, {recursive: true, force: true});
	});
	const binary = {
		path: more.path ?? SHIM,
		eventsPath: shimEventsPath(dir),
		socketDir: join(dir, 's'),
		timeoutMs: 60_000,
		env: [`PATH=${process.env['PATH'] ?? ''}`],
	};
	return {dir, id, bundleDir, binary, ooms};
}

async function connect(t: ExecutionContext, {id, bundleDir, binary}: Rig): Promise<ShimTasks> {
	const log = await kernel.openFifoReader(join(bundleDir, 'log'));
	log.stream.resume();
	const address = await startShim(kernel, wire, binary, {id, bundleDir});
	t.is(address.version, 3);
	const tasks = await ShimTasks.connect(address, wire, systemClock);
	t.teardown(async () => {
		tasks.close();
		await deleteShim(kernel, wire, binary, {id, bundleDir});
		log.end();
	});
	return tasks;
}

async function textOf({stream}: FifoReader): Promise<string> {
	let text = '';
	for await (const chunk of stream) text += String(chunk);
	return text;
}

test.serial('a task from its creation to its end: pid, output, exit code, and nothing of the shim is left', async t => {
	const rig = await makeRig(t, ['sh', '-c', 'echo out; echo err >&2; exit 7']);
	const tasks = await connect(t, rig);
	const [stdout, stderr] = [await kernel.openFifoReader(join(rig.bundleDir, 'stdout')), await kernel.openFifoReader(join(rig.bundleDir, 'stderr'))];
	const pid = await tasks.create({id: rig.id, bundle: rig.bundleDir, stdout: join(rig.bundleDir, 'stdout'), stderr: join(rig.bundleDir, 'stderr')});
	t.regex(await readFile(`/proc/${pid}/cgroup`, 'utf8'), /berth-shimtest/);
	t.is((await tasks.state(rig.id))?.status, 1);
	const task = {id: rig.id, execId: ''};
	const waiting = tasks.wait(task, null);
	t.is(await tasks.start(task), pid);
	const exit = await waiting;
	t.is(exit.exitCode, 7);
	t.true(exit.finishedAtNs > 1_700_000_000_000_000_000n);
	t.deepEqual([await textOf(stdout), await textOf(stderr)], ['out\n', 'err\n']);
	const shimPid = await tasks.shimPid(rig.id);
	await tasks.delete(task);
	await t.notThrowsAsync(tasks.delete(task), 'again');
	await tasks.shutdown(rig.id);
	await tasks.ended;
	t.is(await tasks.state(rig.id).catch((error: Error) => error.name), 'UnavailableError');
	await untilGone(shimPid);
	t.deepEqual(await readdir(join(rig.dir, 's')), []);
});

async function untilGone(pid: number): Promise<void> {
	while ((await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)) !== null) await systemClock.sleep(10);
}

test.serial('exec: its output and exit code; the signal ends what it is for; a task that is gone is no error', async t => {
	const rig = await makeRig(t, ['sleep', '1000']);
	const tasks = await connect(t, rig);
	await tasks.create({id: rig.id, bundle: rig.bundleDir});
	const task = {id: rig.id, execId: ''};
	await tasks.start(task);
	const path = join(rig.bundleDir, 'exec-stdout');
	const stdout = await kernel.openFifoReader(path);
	const exec = {id: rig.id, execId: 'e1'};
	const process = {user: {uid: 0, gid: 0}, args: ['/bin/busybox', 'sh', '-c', 'echo hello; exit 3'], cwd: '/', env: []};
	const spec = {type_url: 'types.containerd.io/opencontainers/runtime-spec/1/Process', value: Buffer.from(JSON.stringify(process))};
	await tasks.exec({id: rig.id, exec_id: 'e1', stdout: path, stderr: path, spec});
	await tasks.start(exec);
	t.is((await tasks.wait(exec, null)).exitCode, 3);
	t.is(await textOf(stdout), 'hello\n');
	await tasks.delete(exec);
	await tasks.kill(task, 9, true);
	t.is((await tasks.wait(task, null)).exitCode, 137);
	await tasks.kill(task, 9, true);
	await tasks.delete(task);
	await tasks.shutdown(rig.id);
	await tasks.ended;
});

test.serial('a shim outlives who started it: the same address serves again, and it still knows how the task ended', async t => {
	const rig = await makeRig(t, ['sh', '-c', 'sleep 0.2; exit 5']);
	const tasks = await connect(t, rig);
	await tasks.create({id: rig.id, bundle: rig.bundleDir});
	await tasks.start({id: rig.id, execId: ''});
	tasks.close();
	await tasks.ended;
	const again = await ShimTasks.connect(await startShim(kernel, wire, rig.binary, rig), wire, systemClock);
	t.teardown(() => again.close());
	t.is((await again.wait({id: rig.id, execId: ''}, null)).exitCode, 5);
	await again.delete({id: rig.id, execId: ''});
	await again.shutdown(rig.id);
	await again.ended;
});

test.serial('"delete" ends what a killed shim left', async t => {
	const rig = await makeRig(t, ['sleep', '1000']);
	const tasks = await connect(t, rig);
	const pid = await tasks.create({id: rig.id, bundle: rig.bundleDir});
	await tasks.start({id: rig.id, execId: ''});
	process.kill(await tasks.shimPid(rig.id), 'SIGKILL');
	await tasks.ended;
	const exit = await deleteShim(kernel, wire, rig.binary, rig);
	t.is(exit.exitCode, 137);
	await untilGone(pid);
	await t.notThrowsAsync(deleteShim(kernel, wire, rig.binary, rig), 'again');
});

test.serial("the runtime's own words reach the caller", async t => {
	const rig = await makeRig(t, ['true']);
	await writeFile(
		join(rig.bundleDir, 'config.json'),
		JSON.stringify({ociVersion: '1.0.2', process: {args: ['/no/such'], cwd: '/', user: {}}, root: {path: 'rootfs'}, linux: {}}),
	);
	const tasks = await connect(t, rig);
	const error = await t.throwsAsync(tasks.create({id: rig.id, bundle: rig.bundleDir}), {instanceOf: TtrpcStatusError});
	t.regex(error.message, /runc create failed/);
	await tasks.shutdown(rig.id);
});

test.serial('a shim that is missing, says nonsense, or fails is an error with its words', async t => {
	const missing = await makeRig(t, ['true'], {path: '/no/such/shim'});
	await t.throwsAsync(startShim(kernel, wire, missing.binary, missing), {instanceOf: SyscallError, message: /\/no\/such\/shim/});
	const says = async (script: string): Promise<Rig> => {
		const rig = await makeRig(t, ['true']);
		const path = join(rig.dir, 'shim');
		await writeFile(path, `#!/bin/sh\n${script}\n`, {mode: 0o755});
		return {...rig, binary: {...rig.binary, path}};
	};
	const failing = await says('echo "no kvm here" >&2; exit 3');
	await t.throwsAsync(startShim(kernel, wire, failing.binary, failing), {instanceOf: FailedError, message: /start: exit code 3: no kvm here/});
	const silent = await says('exit 0');
	await t.throwsAsync(startShim(kernel, wire, silent.binary, silent), {instanceOf: FailedError, message: /start gave no address/});
	const grpc = await says(`echo '{"version": 3, "address": "unix:///x", "protocol": "grpc"}'`);
	await t.throwsAsync(startShim(kernel, wire, grpc.binary, grpc), {instanceOf: FailedError, message: /it speaks "grpc"/});
	const later = await says(`echo '{"version": 9, "address": "unix:///x", "protocol": "ttrpc"}'`);
	await t.throwsAsync(startShim(kernel, wire, later.binary, later), {instanceOf: FailedError, message: /its version 9/});
	const json = await says(`echo '{"version": 3, "address": "unix:///x", "protocol": "ttrpc"}'`);
	t.deepEqual(await startShim(kernel, wire, json.binary, json), {version: 3, address: 'unix:///x'});
	const bare = await says('echo unix:///run/x');
	t.deepEqual(await startShim(kernel, wire, bare.binary, bare), {version: 2, address: 'unix:///run/x'});
});
