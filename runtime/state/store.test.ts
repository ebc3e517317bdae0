import test from 'ava';
import {NotFoundError} from '../../base/errors.js';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import {listContainers, listSandboxes} from './query.js';
import {containerName, sandboxName, StateStore} from './store.js';

const pod = sandboxRecord('pod');
const other = {...sandboxRecord('other'), state: {phase: 'notReady', reason: 'Stopped'} as const};
const first = containerRecord('first', pod);
const second = {...containerRecord('second', pod), state: {phase: 'running', startedAtNs: 5n} as const};
const storeOf = (append: () => Promise<void> = async () => {}) => new StateStore(append, [pod, other, first, second]);

test('StateStore shows a change only after the journal took it', async t => {
	let took = (): void => {};
	const store = storeOf(() => new Promise(resolve => (took = resolve)));
	const put = store.put({...pod, ips: ['10.0.0.9']});
	t.deepEqual(store.findSandbox(pod.id).ips, []);
	took();
	await put;
	t.deepEqual(store.findSandbox(pod.id).ips, ['10.0.0.9']);
});

test('StateStore changes nothing when the journal fails', async t => {
	const store = storeOf(async () => {
		throw new Error('ENOSPC');
	});
	await t.throwsAsync(store.delete(pod), {message: 'ENOSPC'});
	await t.throwsAsync(store.put({...first, pid: 1}), {message: 'ENOSPC'});
	t.is(store.findSandbox(pod.id), pod);
	t.is(store.findContainer(first.id), first);
});

test('findContainer takes a unique prefix, and refuses one that fits several or none, and the empty one', t => {
	const store = storeOf();
	t.is(store.findContainer(first.id.slice(0, 12)), first);
	const twin = {...first, id: `${first.id.slice(0, 60)}ffff`, metadata: {name: 'twin', attempt: 0}};
	const two = new StateStore(async () => {}, [pod, first, twin]);
	t.throws(() => two.findContainer(first.id.slice(0, 12)), {instanceOf: NotFoundError, message: /fits several/});
	t.is(two.findContainer(first.id), first);
	t.throws(() => store.findContainer('zz'), {instanceOf: NotFoundError});
	t.throws(() => store.findContainer(''), {instanceOf: NotFoundError});
});

test('names lead to records until they are deleted', async t => {
	const store = storeOf();
	t.is(store.sandboxByName(sandboxName(pod.metadata)), pod);
	t.is(store.containerByName(containerName(pod.id, first.metadata)), first);
	await store.delete(first);
	t.is(store.containerByName(containerName(pod.id, first.metadata)), null);
	t.deepEqual(store.containersOf(pod.id), [second]);
});

test('whenExited wakes at the exit, at the removal, and at the abort', async t => {
	const store = storeOf();
	const never = new AbortController().signal;
	const exited = store.whenExited(second.id, never);
	await store.put({...second, state: {phase: 'exited', startedAtNs: 5n, finishedAtNs: 6n, exitCode: 0, reason: 'Completed', message: ''}});
	t.true(await exited);
	t.true(await store.whenExited(second.id, never));
	const removed = store.whenExited(first.id, never);
	await store.delete(first);
	t.true(await removed);
	const abort = new AbortController();
	await store.put(first);
	const given = store.whenExited(first.id, abort.signal);
	abort.abort();
	t.false(await given);
});

const any = {id: '', state: null, labels: {}} as const;
for (const [what, filter, expected] of [
	['nothing', any, [pod, other]],
	['ready', {...any, state: 'ready'}, [pod]],
	['notReady', {...any, state: 'notReady'}, [other]],
	['a label', {...any, labels: {app: 'other'}}, [other]],
	['a label that only part fits', {...any, labels: {app: 'other', no: 'x'}}, []],
	['an id', {...any, id: pod.id}, [pod]],
	['an id prefix', {...any, id: pod.id.slice(0, 10)}, [pod]],
	['an unknown id', {...any, id: 'zzz'}, []],
] as const) {
	test(`listSandboxes filters by ${what}`, t => t.deepEqual(listSandboxes(storeOf(), filter), [...expected]));
}

for (const [what, filter, expected] of [
	['nothing', {...any, sandboxId: ''}, [first, second]],
	['state', {...any, sandboxId: '', state: 'running'}, [second]],
	['pod sandbox', {...any, sandboxId: pod.id}, [first, second]],
	['pod sandbox prefix', {...any, sandboxId: pod.id.slice(0, 9), state: 'created'}, [first]],
	['another pod sandbox', {...any, sandboxId: other.id}, []],
	['id and another pod sandbox', {...any, id: first.id, sandboxId: other.id}, []],
	['label', {...any, sandboxId: '', labels: {container: 'first'}}, [first]],
] as const) {
	test(`listContainers filters by ${what}`, t => t.deepEqual(listContainers(storeOf(), filter), [...expected]));
}

test('what is still being created is not listed', t => {
	const store = new StateStore(async () => {}, [
		{...pod, state: {phase: 'creating'}},
		{...first, state: {phase: 'creating'}},
	]);
	t.deepEqual(listSandboxes(store, any), []);
	t.deepEqual(listContainers(store, {...any, sandboxId: ''}), []);
});
