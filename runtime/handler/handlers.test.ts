import test from 'ava';
import {InvalidArgumentError, UnavailableError, UnimplementedError} from '../../base/errors.js';
import {NamespaceMode} from '../../proto/cri.js';
import {fakeRuntime, onNetwork, sandboxConfig} from '../fake-runtime.js';
import {sandboxRecord} from '../fake-records.js';
import {runSandbox} from '../sandbox/run.js';
import {openHandlers, RuntimeHandlers} from './handlers.js';
import type {ShimParts} from './shim-v2/handler.js';
import {nativeHandler} from './native-handler.js';

const never = new AbortController().signal;
// No handler here is of type shim-v2.
const NO_SHIMS = {runDir: '/nonexistent/run'} as ShimParts;
const ALIAS = {name: 'test-handler', type: 'native', path: '', options: [], timeoutMs: 1000} as const;

async function setUp(t: {teardown(work: () => Promise<void>): void}) {
	const fake = await fakeRuntime();
	t.teardown(fake.remove);
	const {launcher} = fake;
	return {...fake, parts: {launcher, kernel: fake.runtime.kernel, userNamespaces: fake.runtime.userNamespaces, shims: NO_SHIMS}};
}

test('"" is native and always there; an alias of it makes pods that keep its name', async t => {
	const {runtime, parts} = await setUp(t);
	const handlers = await openHandlers([ALIAS], parts);
	t.deepEqual(
		handlers.list().map(({name, type}) => [name, type]),
		[
			['', 'native'],
			['test-handler', 'native'],
		],
	);
	const id = await runSandbox({...runtime, handlers}, sandboxConfig(), 'test-handler', never);
	t.is(runtime.state.findSandbox(id).runtimeHandler, 'test-handler');
});

test('a handler that is not configured is refused before anything is made, naming those that are', async t => {
	const {runtime, parts, trace} = await setUp(t);
	const handlers = await openHandlers([ALIAS], parts);
	await t.throwsAsync(runSandbox({...runtime, handlers}, sandboxConfig(), 'kata', never), {
		instanceOf: InvalidArgumentError,
		message: 'runtime_handler "kata" is not configured; configured: "" (native), "test-handler" (native)',
	});
	t.deepEqual(trace.calls, []);
});

test('a handler that cannot be used refuses pods with the reason, and user namespaces where it has none', async t => {
	const {runtime, parts, trace} = await setUp(t);
	const native = nativeHandler('', parts.launcher, parts.userNamespaces);
	const broken = {...native, name: 'broken', problem: '/usr/bin/none: ENOENT'};
	const plain = {...native, name: 'plain', features: {recursiveReadOnlyMounts: true, userNamespaces: false}};
	const handlers = new RuntimeHandlers(parts.launcher, [native, broken, plain]);
	await t.throwsAsync(runSandbox({...runtime, handlers}, sandboxConfig(), 'broken', never), {
		instanceOf: UnavailableError,
		message: 'runtime_handler "broken" cannot be used on this node: /usr/bin/none: ENOENT',
	});
	const config = sandboxConfig(onNetwork(NamespaceMode.NODE));
	const mapping = [{container_id: 0, host_id: 65_536, length: 65_536}];
	Object.assign(config.linux?.security_context?.namespace_options ?? {}, {userns_options: {mode: NamespaceMode.POD, uids: mapping, gids: mapping}});
	await t.throwsAsync(runSandbox({...runtime, handlers}, config, 'plain', never), {
		instanceOf: UnimplementedError,
		message: 'namespace_options.userns_options: runtime handler "plain" has no user namespaces for pods',
	});
	t.deepEqual(trace.calls, []);
	await runSandbox({...runtime, handlers}, config, '', never);
});

test('a pod whose handler is not configured any more is found, told of and ended, but runs nothing new', async t => {
	const {parts, launcher, trace} = await setUp(t);
	const record = {...sandboxRecord('old'), runtimeHandler: 'gone'};
	const handlers = await openHandlers([], parts);
	t.is(await handlers.of(record).findPod(record), null);
	launcher.add(record.id);
	const pod = await handlers.of(record).findPod(record);
	t.deepEqual(await pod?.list(), []);
	await t.throwsAsync(async () => await pod?.startContainer('c'), {instanceOf: UnavailableError, message: 'runtime handler "gone" is not configured any more'});
	await pod?.destroy();
	t.deepEqual(trace.calls, ['monitor.destroy']);
});
