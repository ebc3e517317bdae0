import test, {type ExecutionContext} from 'ava';
import {AlreadyExistsError, CancelledError, InvalidArgumentError, NotFoundError, WrongStateError} from '../../base/errors.js';
import {containerConfig, fakeRuntime, sandboxConfig} from '../fake-runtime.js';
import {runSandbox} from '../sandbox/run.js';
import {stopSandbox} from '../sandbox/stop.js';
import {listContainers} from '../state/query.js';
import {createContainer} from './create.js';
import {execSync} from './exec-sync.js';
import {reopenLog} from './reopen-log.js';
import {removeContainer} from './remove.js';
import {startContainer} from './start.js';
import {stopContainer} from './stop.js';

const never = new AbortController().signal;
const all = {id: '', sandboxId: '', state: null, labels: {}} as const;

/** A runtime with one ready pod sandbox; the trace begins after it was made. */
async function setUp(t: ExecutionContext) {
	const fake = await fakeRuntime();
	t.teardown(fake.remove);
	const sandboxId = await runSandbox(fake.runtime, sandboxConfig(), '', never);
	fake.trace.calls.length = 0;
	fake.events.length = 0;
	return {...fake, sandboxId};
}

test('createContainer writes its intent, makes snapshot and process, and records what the init resolved', async t => {
	const {runtime, trace, journal, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	t.deepEqual(trace.calls, ['journal.put', 'images.prepareSnapshot', 'monitor.createContainer', 'journal.put']);
	const intent = journal.at(-2);
	t.is(intent?.op === 'put' && intent.record.state.phase, 'creating');
	t.like(runtime.state.findContainer(id), {state: {phase: 'created'}, pid: 200, user: {uid: 7, gid: 8}, image: {asked: 'busybox'}, stopSignal: 15});
});

for (const step of ['images.prepareSnapshot', 'monitor.createContainer']) {
	test(`createContainer undoes everything when ${step} fails`, async t => {
		const {runtime, trace, images, sandboxId} = await setUp(t);
		trace.failing.add(step);
		await t.throwsAsync(createContainer(runtime, sandboxId, containerConfig(), never), {message: `${step} failed`});
		t.deepEqual(runtime.state.containersOf(sandboxId), []);
		t.is(images.snapshots.size, 0);
		t.true(trace.calls.includes('monitor.removeContainer'));
	});
}

test('createContainer refuses what is wrong before it makes anything', async t => {
	const {runtime, trace, sandboxId} = await setUp(t);
	await t.throwsAsync(createContainer(runtime, 'nope', containerConfig(), never), {instanceOf: NotFoundError, message: 'pod sandbox "nope" not found'});
	await t.throwsAsync(createContainer(runtime, sandboxId, containerConfig({metadata: null}), never), {instanceOf: InvalidArgumentError, message: /metadata/});
	const unknown = containerConfig();
	await t.throwsAsync(createContainer(runtime, sandboxId, {...unknown, image: {...unknown.image, image: 'absent'} as never}, never), {
		instanceOf: NotFoundError,
		message: 'image "absent" not found',
	});
	t.deepEqual(trace.calls, []);
	await stopSandbox(runtime, sandboxId);
	await t.throwsAsync(createContainer(runtime, sandboxId, containerConfig(), never), {instanceOf: WrongStateError});
});

test('a repeated createContainer joins or finds the first; one of a started container is refused', async t => {
	const {runtime, sandboxId, images} = await setUp(t);
	const ids = await Promise.all([1, 2].map(() => createContainer(runtime, sandboxId, containerConfig(), never)));
	ids.push(await createContainer(runtime, sandboxId, containerConfig(), never));
	t.is(new Set(ids).size, 1);
	t.is(images.snapshots.size, 1);
	await startContainer(runtime, ids[0] ?? '');
	await t.throwsAsync(createContainer(runtime, sandboxId, containerConfig(), never), {instanceOf: AlreadyExistsError});
	t.not(await createContainer(runtime, sandboxId, containerConfig({metadata: {name: 'main', attempt: 1}}), never), ids[0]);
});

test('startContainer called twice at once starts one process', async t => {
	const {runtime, trace, events, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	const results = await Promise.allSettled([startContainer(runtime, id), startContainer(runtime, id)]);
	t.deepEqual(results.map(({status}) => status).sort(), ['fulfilled', 'rejected']);
	t.is(trace.calls.filter(call => call === 'monitor.startContainer').length, 1);
	t.deepEqual(runtime.state.findContainer(id).state, {phase: 'running', startedAtNs: 55n});
	t.deepEqual(
		events.map(({kind}) => kind),
		['created', 'started'],
	);
});

test("startContainer records StartError when exec fails, and the monitor's own word of that exit changes nothing", async t => {
	const {runtime, trace, launcher, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	trace.failing.add('monitor.startContainer');
	await t.throwsAsync(startContainer(runtime, id), {message: 'monitor.startContainer failed'});
	t.like(runtime.state.findContainer(id).state, {phase: 'exited', exitCode: 126, reason: 'StartError', startedAtNs: 0n});
	const before = runtime.state.findContainer(id);
	launcher.monitors.get(sandboxId)?.exit(id, {exitCode: 126, finishedAtNs: 1n, oomKilled: false});
	await runtime.locks.run(id, async () => {});
	t.is(runtime.state.findContainer(id), before);
});

test('a start that the journal does not take is an error, but no exit: the program runs, and its removal ends it', async t => {
	const {runtime, trace, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	// Once only: the next entry is taken again.
	const put = runtime.state.put.bind(runtime.state);
	runtime.state.put = async () => {
		runtime.state.put = put;
		throw new Error('no space left');
	};
	await t.throwsAsync(startContainer(runtime, id), {message: 'no space left'});
	t.is(runtime.state.findContainer(id).state.phase, 'created');
	await removeContainer(runtime, id);
	t.true(trace.calls.includes('monitor.signal 9 all'));
	t.throws(() => runtime.state.findContainer(id));
});

for (const [exitCode, oomKilled, reason] of [
	[0, false, 'Completed'],
	[3, false, 'Error'],
	[137, true, 'OOMKilled'],
] as const) {
	test(`an exit with ${exitCode}${oomKilled ? ' by the OOM killer' : ''} is recorded as ${reason}`, async t => {
		const {runtime, launcher, events, sandboxId} = await setUp(t);
		const id = await createContainer(runtime, sandboxId, containerConfig(), never);
		await startContainer(runtime, id);
		launcher.monitors.get(sandboxId)?.exit(id, {exitCode, finishedAtNs: 77n, oomKilled});
		t.true(await runtime.state.whenExited(id, never));
		// The event follows the record, under the same lock.
		await runtime.locks.run(id, async () => {});
		t.deepEqual(runtime.state.findContainer(id).state, {phase: 'exited', startedAtNs: 55n, finishedAtNs: 77n, exitCode, reason, message: ''});
		t.is(runtime.state.findContainer(id).pid, 0);
		t.is(events.at(-1)?.kind, 'stopped');
	});
}

test('stopContainer sends the stop signal, then kills after the grace period', async t => {
	const {runtime, trace, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, id);
	await stopContainer(runtime, id, 30, never);
	t.deepEqual(
		trace.calls.filter(call => call.startsWith('monitor.signal')),
		['monitor.signal 15 main', 'monitor.signal 9 all'],
	);
	t.like(runtime.state.findContainer(id).state, {phase: 'exited', exitCode: 137});
	await stopContainer(runtime, id, 30, never);
	await stopContainer(runtime, 'unknown', 30, never);
});

test('stopContainer with no grace kills at once; a program that obeys is not killed', async t => {
	const {runtime, trace, launcher, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, id);
	trace.hold = async call => {
		if (call === 'monitor.signal 15 main') launcher.monitors.get(sandboxId)?.exit(id, {exitCode: 0, finishedAtNs: 9n, oomKilled: false});
	};
	await stopContainer(runtime, id, 60_000, never);
	t.false(trace.calls.includes('monitor.signal 9 all'));
	const second = await createContainer(runtime, sandboxId, containerConfig({metadata: {name: 'second', attempt: 0}}), never);
	await startContainer(runtime, second);
	await stopContainer(runtime, second, 0, never);
	t.false(trace.calls.slice(-3).includes('monitor.signal 15 main'));
});

test('a cancelled stopContainer leaves off after the stop signal', async t => {
	const {runtime, trace, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, id);
	const abort = new AbortController();
	trace.hold = async call => void (call.startsWith('monitor.signal') && abort.abort());
	await t.throwsAsync(stopContainer(runtime, id, 60_000, abort.signal), {instanceOf: CancelledError});
	t.is(runtime.state.findContainer(id).state.phase, 'running');
});

test('removeContainer kills a running one, frees its snapshot, and is idempotent', async t => {
	const {runtime, images, events, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, id);
	await removeContainer(runtime, id);
	await removeContainer(runtime, id);
	t.deepEqual(listContainers(runtime.state, all), []);
	t.is(images.snapshots.size, 0);
	t.deepEqual(
		events.map(({kind}) => kind),
		['created', 'started', 'stopped', 'deleted'],
	);
});

test('exec and log reopening want a running container and a command', async t => {
	const {runtime, sandboxId} = await setUp(t);
	const id = await createContainer(runtime, sandboxId, containerConfig(), never);
	await t.throwsAsync(execSync(runtime, id, ['true'], 0, never), {instanceOf: WrongStateError});
	await t.throwsAsync(reopenLog(runtime, id), {instanceOf: WrongStateError});
	await startContainer(runtime, id);
	await t.throwsAsync(execSync(runtime, id, [], 0, never), {instanceOf: InvalidArgumentError, message: 'cmd is empty'});
	await t.throwsAsync(execSync(runtime, id, ['a\0b'], 0, never), {instanceOf: InvalidArgumentError, message: /NUL/});
	await t.throwsAsync(execSync(runtime, 'nope', ['true'], 0, never), {instanceOf: NotFoundError});
});

test('stopSandbox kills every container, running or parked', async t => {
	const {runtime, sandboxId} = await setUp(t);
	const running = await createContainer(runtime, sandboxId, containerConfig(), never);
	await startContainer(runtime, running);
	const parked = await createContainer(runtime, sandboxId, containerConfig({metadata: {name: 'parked', attempt: 0}}), never);
	await stopSandbox(runtime, sandboxId);
	t.like(runtime.state.findContainer(running).state, {phase: 'exited', startedAtNs: 55n});
	t.like(runtime.state.findContainer(parked).state, {phase: 'exited', startedAtNs: 0n});
});
