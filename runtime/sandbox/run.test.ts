import {access, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {AlreadyExistsError, CancelledError, InvalidArgumentError, UnavailableError, UnimplementedError} from '../../base/errors.js';
import {NamespaceMode} from '../../proto/cri.js';
import {fakeRuntime, onNetwork, sandboxConfig} from '../fake-runtime.js';
import {nativeHandler} from '../handler/native-handler.js';
import {RuntimeHandlers} from '../handler/handlers.js';
import {listSandboxes} from '../state/query.js';
import {removeSandbox} from './remove.js';
import {runSandbox} from './run.js';
import {stopSandbox} from './stop.js';

const never = new AbortController().signal;
const all = {id: '', state: null, labels: {}} as const;

async function setUp(t: ExecutionContext) {
	const fake = await fakeRuntime();
	t.teardown(fake.remove);
	return fake;
}

test('runSandbox makes monitor, pin, network and files, with the intent in the journal first', async t => {
	const {runtime, trace, journal, events} = await setUp(t);
	const id = await runSandbox(runtime, sandboxConfig(), '', never);
	t.deepEqual(trace.calls, ['journal.put', 'launcher.createMonitor', 'kernel.pin', 'cni.attach', 'journal.put']);
	const [intent] = journal;
	t.is(intent?.op === 'put' && intent.record.state.phase, 'creating');
	const record = runtime.state.findSandbox(id);
	t.like(record, {state: {phase: 'ready'}, ips: ['10.1.2.3', 'fd00::3'], hostname: 'web'});
	t.regex(await readFile(join(record.files.dir, 'hosts'), 'utf8'), /^10\.1\.2\.3\tweb$/m);
	t.deepEqual(
		events.map(({kind}) => kind),
		['created', 'started'],
	);
});

test('runSandbox on the host network runs no plugin and pins nothing', async t => {
	const {runtime, trace} = await setUp(t);
	const id = await runSandbox(runtime, sandboxConfig(onNetwork(NamespaceMode.NODE)), '', never);
	t.deepEqual(trace.calls, ['journal.put', 'launcher.createMonitor', 'journal.put']);
	t.is(runtime.state.findSandbox(id).attachment, null);
});

test('a user namespace is refused where the trial at start failed, with its reason, before anything is made', async t => {
	const {runtime, trace} = await setUp(t);
	const {linux} = sandboxConfig(onNetwork(NamespaceMode.NODE));
	const userns_options = {mode: NamespaceMode.POD, uids: [{host_id: 1, container_id: 0, length: 2}], gids: [{host_id: 1, container_id: 0, length: 2}]};
	const security_context = {...linux?.security_context, namespace_options: {...linux?.security_context?.namespace_options, userns_options}};
	const config = sandboxConfig({linux: {...linux, security_context} as never});
	const userNamespaces = {supported: false, reason: 'id-map layer: EINVAL'};
	const handlers = new RuntimeHandlers(runtime.launcher, [nativeHandler('', runtime.launcher, userNamespaces)]);
	const without = {...runtime, userNamespaces, handlers};
	const error = await t.throwsAsync(runSandbox(without, config, '', never), {instanceOf: UnimplementedError});
	t.is(error.message, 'namespace_options.userns_options: this node has no user namespaces for pods: id-map layer: EINVAL');
	t.deepEqual(trace.calls, []);
	t.deepEqual(listSandboxes(runtime.state, all), []);
	await t.notThrowsAsync(runSandbox(without, sandboxConfig(), '', never));
});

for (const step of ['launcher.createMonitor', 'kernel.pin', 'cni.attach']) {
	test(`runSandbox undoes everything when ${step} fails`, async t => {
		const {runtime, trace, cni} = await setUp(t);
		trace.failing.add(step);
		await t.throwsAsync(runSandbox(runtime, sandboxConfig(), '', never), {message: `${step} failed`});
		t.deepEqual(listSandboxes(runtime.state, all), []);
		t.is([...runtime.state.records()].length, 0);
		t.is(cni.attached.size, 0);
		if (step !== 'launcher.createMonitor') t.true(trace.calls.includes('monitor.destroy'));
		await t.throwsAsync(access(join(runtime.options.rootDir, 'sandboxes', 'x')));
	});
}

test('an undo that fails leaves a not ready sandbox, which StopPodSandbox and RemovePodSandbox bring to its end', async t => {
	const {runtime, trace, cni} = await setUp(t);
	trace.hold = async call => void (call === 'cni.attach' && cni.attached.add('leaked'));
	trace.failing.add('cni.attach').add('cni.detach');
	await t.throwsAsync(runSandbox(runtime, sandboxConfig(), '', never), {message: 'cni.attach failed'});
	const [left] = listSandboxes(runtime.state, all);
	t.is(left?.state.phase, 'stopping');
	await t.throwsAsync(stopSandbox(runtime, left?.id ?? ''), {message: 'cni.detach failed'});
	trace.failing.clear();
	await removeSandbox(runtime, left?.id ?? '');
	t.deepEqual(listSandboxes(runtime.state, all), []);
});

test('a repeated runSandbox joins the one in flight, and one after it finds the ready sandbox', async t => {
	const {runtime, trace} = await setUp(t);
	const ids = await Promise.all([1, 2, 3].map(() => runSandbox(runtime, sandboxConfig(), '', never)));
	ids.push(await runSandbox(runtime, sandboxConfig(), '', never));
	t.is(new Set(ids).size, 1);
	t.is(trace.calls.filter(call => call === 'launcher.createMonitor').length, 1);
	await stopSandbox(runtime, ids[0] ?? '');
	await t.throwsAsync(runSandbox(runtime, sandboxConfig(), '', never), {instanceOf: AlreadyExistsError});
});

test('a cancelled runSandbox is undone; its retry makes a new one', async t => {
	const {runtime, trace, cni} = await setUp(t);
	const abort = new AbortController();
	trace.hold = async call => {
		if (call === 'cni.attach') abort.abort(new CancelledError('gone'));
	};
	await t.throwsAsync(runSandbox(runtime, sandboxConfig(), '', abort.signal), {instanceOf: CancelledError});
	trace.hold = async () => {};
	const id = await runSandbox(runtime, sandboxConfig(), '', never);
	t.deepEqual(
		listSandboxes(runtime.state, all).map(record => record.id),
		[id],
	);
	t.deepEqual([...cni.attached], [id]);
});

test('cancelling one of two joined calls does not cancel the other', async t => {
	const {runtime, trace} = await setUp(t);
	const abort = new AbortController();
	trace.hold = async call => {
		if (call === 'cni.attach') abort.abort(new CancelledError('gone'));
	};
	const [first, second] = await Promise.allSettled([runSandbox(runtime, sandboxConfig(), '', abort.signal), runSandbox(runtime, sandboxConfig(), '', never)]);
	t.is(first.status, 'rejected');
	t.is(second.status, 'fulfilled');
});

test('runSandbox refuses an unknown handler, an unready network and missing metadata, and changes nothing', async t => {
	const {runtime, trace, cni} = await setUp(t);
	await t.throwsAsync(runSandbox(runtime, sandboxConfig(), 'gvisor', never), {instanceOf: InvalidArgumentError, message: /runtime_handler "gvisor"/});
	await t.throwsAsync(runSandbox(runtime, sandboxConfig({metadata: null}), '', never), {instanceOf: InvalidArgumentError, message: /metadata/});
	cni.ready = false;
	await t.throwsAsync(runSandbox(runtime, sandboxConfig(), '', never), {instanceOf: UnavailableError, message: /no network config in \/conf/});
	t.deepEqual(trace.calls, []);
});

test('stopSandbox and removeSandbox are idempotent, and unknown ids are success', async t => {
	const {runtime, trace} = await setUp(t);
	await stopSandbox(runtime, 'nope');
	await removeSandbox(runtime, 'nope');
	const id = await runSandbox(runtime, sandboxConfig(), '', never);
	await stopSandbox(runtime, id);
	const after = trace.calls.length;
	await stopSandbox(runtime, id);
	t.is(trace.calls.length, after);
	t.is(runtime.state.findSandbox(id).state.phase, 'notReady');
	await removeSandbox(runtime, id);
	await removeSandbox(runtime, id);
	t.is(runtime.state.sandbox(id), null);
	await t.throwsAsync(access(join(runtime.options.rootDir, 'sandboxes', id)), {code: 'ENOENT'});
});
