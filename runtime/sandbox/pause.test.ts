import test, {type ExecutionContext} from 'ava';
import {WrongStateError} from '../../base/errors.js';
import {createContainer} from '../container/create.js';
import {pauseContainer} from '../container/pause.js';
import {startContainer} from '../container/start.js';
import {stopContainer} from '../container/stop.js';
import type {ExitRecord} from '../../native/native.js';
import {containerConfig, fakeRuntime, sandboxConfig} from '../fake-runtime.js';
import type {PodRuntime} from '../handler/handler.js';
import {pause, unpause} from './pause.js';
import {runSandbox} from './run.js';

const never = new AbortController().signal;
const EXIT: ExitRecord = {exitCode: 0, finishedAtNs: 9n, oomKilled: false};
/** Nothing here waits for it: a test that does hangs until ava's own time is up. */
const LONG_MS = 600_000;

/** A pod of running containers whose processes stand still while paused: a signal ends them only then when they go on, as with cgroup v1. */
async function setUp(t: ExecutionContext, names: readonly string[]) {
	const fake = await fakeRuntime();
	t.teardown(fake.remove);
	const {runtime, launcher, trace} = fake;
	const sandboxId = await runSandbox(runtime, sandboxConfig(), '', never);
	const ids: string[] = [];
	for (const name of names) {
		const id = await createContainer(runtime, sandboxId, containerConfig({metadata: {name, attempt: 0}}), never);
		await startContainer(runtime, id);
		ids.push(id);
	}
	const frozen = new Set<string>();
	const signalled = new Set<string>();
	const end = (id: string): void => launcher.monitors.get(sandboxId)?.exit(id, EXIT);
	const pod = runtime.monitors.get(sandboxId) as PodRuntime;
	pod.pause = async id => {
		await trace.step(`pause ${id}`);
		frozen.add(id);
	};
	pod.resume = async id => {
		await trace.step(`resume ${id}`);
		frozen.delete(id);
		if (signalled.has(id)) end(id);
	};
	pod.signal = async id => {
		await trace.step(`signal ${id}`);
		signalled.add(id);
		if (!frozen.has(id)) end(id);
	};
	trace.calls.length = 0;
	return {...fake, sandboxId, ids, frozen, end};
}

test('a container that is paused after its stop began is thawed, and does not cost the grace period', async t => {
	const {runtime, trace, ids, frozen} = await setUp(t, ['a']);
	const [id = ''] = ids;
	let pausing: Promise<unknown> = Promise.resolve();
	// The pause has been asked for before, and freezes before the signal is there.
	trace.hold = async call => {
		if (call !== `signal ${id}`) return;
		frozen.add(id);
		await runtime.state.put({...runtime.state.findContainer(id), paused: true});
		pausing = t.throwsAsync(pauseContainer(runtime, id), {instanceOf: WrongStateError, message: /is being stopped, must be running/});
	};
	await stopContainer(runtime, id, LONG_MS, never);
	await pausing;
	t.is(runtime.state.findContainer(id).state.phase, 'exited');
});

for (const [how, timeoutMs] of [
	['stopped', LONG_MS],
	['killed', 0],
] as const) {
	test(`a pause that freezes what is being ${how} meanwhile takes itself back`, async t => {
		const {runtime, trace, ids} = await setUp(t, ['a']);
		const [id = ''] = ids;
		let stopping: Promise<void> = Promise.resolve();
		let begun = false;
		trace.hold = async call => {
			if (call !== `pause ${id}` || begun) return;
			begun = true;
			// The signal finds it frozen.
			const {promise, resolve} = Promise.withResolvers<void>();
			trace.hold = async each => {
				if (each === `signal ${id}`) await promise;
			};
			stopping = stopContainer(runtime, id, timeoutMs, never);
			setImmediate(resolve);
			await Promise.resolve();
		};
		await t.throwsAsync(pauseContainer(runtime, id), {instanceOf: WrongStateError});
		await stopping;
		t.is(runtime.state.findContainer(id).state.phase, 'exited');
	});
}

test('unpause of a pod goes on after a container that has ended, or that cannot be thawed', async t => {
	const {runtime, sandboxId, ids, frozen, trace, end} = await setUp(t, ['a', 'b', 'c']);
	const [a = '', b = '', c = ''] = ids;
	t.deepEqual(await pause(runtime, sandboxId), ids);
	trace.hold = async call => {
		if (call !== `resume ${a}`) return;
		end(b);
		await runtime.state.whenExited(b, never);
	};
	t.deepEqual(await unpause(runtime, sandboxId), [a, c]);
	t.deepEqual([...frozen], [b]);
	trace.hold = async () => {};
	await pause(runtime, sandboxId);
	const original = runtime.monitors.get(sandboxId);
	const resume = original.resume?.bind(original);
	original.resume = async id => {
		if (id === a) throw new Error('not thawed');
		await resume?.(id);
	};
	await t.throwsAsync(unpause(runtime, sandboxId), {message: 'not thawed'});
	t.false(frozen.has(c));
	await t.throwsAsync(unpause(runtime, b), {instanceOf: WrongStateError});
});

test('pause of a pod passes over a container that ends meanwhile', async t => {
	const {runtime, sandboxId, ids, trace, end} = await setUp(t, ['a', 'b', 'c']);
	const [a = '', b = '', c = ''] = ids;
	trace.hold = async call => {
		if (call !== `pause ${a}`) return;
		end(b);
		await runtime.state.whenExited(b, never);
	};
	t.deepEqual(await pause(runtime, sandboxId), [a, c]);
});
