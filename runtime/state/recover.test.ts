import test, {type ExecutionContext} from 'ava';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import {fakeRuntime} from '../fake-runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {stopSandbox} from '../sandbox/stop.js';
import type {AnyRecord} from './codec.js';
import {recordMonitorLost, recover} from './recover.js';

const pod = sandboxRecord('pod');
const running = {...containerRecord('main', pod), state: {phase: 'running', startedAtNs: 5n} as const};
const networked: SandboxRecord = {
	...pod,
	attachment: {
		sandboxId: pod.id,
		netnsPath: '/n',
		podName: 'pod',
		podNamespace: 'default',
		podUid: 'u',
		portMappings: [],
		bandwidth: null,
		cgroupPath: '/c',
		dns: {servers: [], searches: [], options: []},
	},
};

async function recovered(t: ExecutionContext, records: readonly AnyRecord[], before: (fake: Awaited<ReturnType<typeof fakeRuntime>>) => void = () => {}) {
	const fake = await fakeRuntime(records);
	t.teardown(fake.remove);
	before(fake);
	await recover(fake.runtime);
	return fake;
}

test('a running container whose monitor lives is left alone', async t => {
	const {runtime, trace} = await recovered(t, [pod, running], ({launcher}) => {
		launcher.add(pod.id).containers.set(running.id, {containerId: running.id, pid: 4242, phase: 'running', startedAtNs: 5n, exit: null});
	});
	t.is(runtime.state.findContainer(running.id), running);
	t.is(runtime.state.findSandbox(pod.id), pod);
	t.deepEqual(trace.calls, []);
	t.not(runtime.monitors.find(pod.id), null);
});

test('an exit of the time between is learnt from the monitor, with its code and time', async t => {
	const {runtime} = await recovered(t, [pod, running], ({launcher}) => {
		launcher.add(pod.id).containers.set(running.id, {
			containerId: running.id,
			pid: 4242,
			phase: 'exited',
			startedAtNs: 5n,
			exit: {exitCode: 3, finishedAtNs: 88n, oomKilled: false},
		});
	});
	t.deepEqual(runtime.state.findContainer(running.id).state, {phase: 'exited', startedAtNs: 5n, finishedAtNs: 88n, exitCode: 3, reason: 'Error', message: ''});
});

test('a start that the journal missed is learnt from the monitor', async t => {
	const created = containerRecord('main', pod);
	const {runtime} = await recovered(t, [pod, created], ({launcher}) => {
		launcher.add(pod.id).containers.set(created.id, {containerId: created.id, pid: 4242, phase: 'running', startedAtNs: 66n, exit: null});
	});
	t.deepEqual(runtime.state.findContainer(created.id).state, {phase: 'running', startedAtNs: 66n});
});

test('what was being made is undone', async t => {
	const creating = {...networked, state: {phase: 'creating'} as const};
	const {runtime, trace, cni} = await recovered(t, [creating], fake => {
		fake.launcher.add(pod.id);
		fake.cni.attached.add(pod.id);
	});
	t.is([...runtime.state.records()].length, 0);
	t.is(cni.attached.size, 0);
	t.deepEqual(trace.calls, ['cni.detach', 'kernel.unpin', 'monitor.destroy', 'journal.delete']);
});

test('a container that was being made is undone, its pod goes on', async t => {
	const creating = {...containerRecord('half', pod), state: {phase: 'creating'} as const};
	const {runtime, images} = await recovered(t, [pod, creating], fake => {
		fake.launcher.add(pod.id);
		fake.images.snapshots.add(creating.id);
	});
	t.deepEqual(runtime.state.containersOf(pod.id), []);
	t.is(images.snapshots.size, 0);
	t.is(runtime.state.findSandbox(pod.id).state.phase, 'ready');
});

test('a pod whose monitor is gone is ended, its network taken down', async t => {
	const {runtime, trace} = await recovered(t, [networked, running]);
	t.deepEqual(runtime.state.findSandbox(pod.id).state, {phase: 'notReady', reason: 'MonitorLost'});
	t.like(runtime.state.findContainer(running.id).state, {phase: 'exited', exitCode: 255, reason: 'Unknown', message: "the pod's monitor died"});
	t.true(trace.calls.includes('cni.detach'));
	t.true(trace.calls.includes('kernel.unpin'));
});

test('after another boot nothing of a pod is believed to live', async t => {
	const {runtime} = await recovered(t, [{...networked, bootId: 'boot-0'}, running]);
	t.is(runtime.state.findSandbox(pod.id).state.phase, 'notReady');
	t.like(runtime.state.findContainer(running.id).state, {phase: 'exited', message: 'the node was restarted'});
});

test('a stop that was cut short goes on', async t => {
	const {runtime} = await recovered(t, [{...networked, state: {phase: 'stopping'}}, running], ({launcher}) => {
		launcher.add(pod.id).containers.set(running.id, {containerId: running.id, pid: 4242, phase: 'running', startedAtNs: 5n, exit: null});
	});
	t.is(runtime.state.findSandbox(pod.id).state.phase, 'notReady');
	t.like(runtime.state.findContainer(running.id).state, {phase: 'exited', exitCode: 137});
});

test('one pod that cannot be recovered harms no other', async t => {
	const other = sandboxRecord('other');
	const {runtime} = await recovered(t, [networked, other], ({trace, launcher}) => {
		trace.failing.add('cni.detach');
		launcher.add(other.id);
	});
	t.is(runtime.state.findSandbox(pod.id).state.phase, 'stopping');
	t.is(runtime.state.findSandbox(other.id), other);
	t.not(runtime.monitors.find(other.id), null);
});

test('monitors, containers and snapshots without a record are removed', async t => {
	const {trace, images} = await recovered(t, [pod], fake => {
		fake.launcher.add(pod.id).containers.set('stray', {containerId: 'stray', pid: 1, phase: 'running', startedAtNs: 1n, exit: null});
		fake.launcher.add('unknown-pod');
		fake.images.snapshots.add('stray');
	});
	t.deepEqual(trace.calls, ['monitor.removeContainer', 'monitor.destroy', 'images.removeSnapshot']);
	t.is(images.snapshots.size, 0);
});

test('a monitor that dies while the daemon runs ends its pod', async t => {
	const {runtime, launcher} = await recovered(t, [networked, running], fake => {
		fake.launcher.add(pod.id).containers.set(running.id, {containerId: running.id, pid: 4242, phase: 'running', startedAtNs: 5n, exit: null});
	});
	launcher.monitors.delete(pod.id);
	await recordMonitorLost(runtime, pod.id);
	t.like(runtime.state.findContainer(running.id).state, {phase: 'exited', reason: 'Unknown'});
	t.deepEqual(runtime.state.findSandbox(pod.id).state, {phase: 'notReady', reason: 'MonitorLost'});
});

for (const monitorLives of [true, false]) {
	test(`a pod that could not be recovered, as its monitor did not answer, is stopped once it ${monitorLives ? 'does' : 'is dead'}`, async t => {
		const {runtime, launcher, trace} = await recovered(t, [pod, running], fake => {
			fake.launcher.add(pod.id).containers.set(running.id, {containerId: running.id, pid: 4242, phase: 'running', startedAtNs: 5n, exit: null});
			const find = fake.launcher.findMonitor.bind(fake.launcher);
			fake.launcher.findMonitor = async () => {
				fake.launcher.findMonitor = find;
				throw new Error('no answer');
			};
		});
		t.is(runtime.state.findContainer(running.id), running);
		if (!monitorLives) launcher.monitors.delete(pod.id);
		await stopSandbox(runtime, pod.id);
		t.like(runtime.state.findContainer(running.id).state, {phase: 'exited', exitCode: monitorLives ? 137 : 255, startedAtNs: 5n});
		t.is(runtime.state.findSandbox(pod.id).state.phase, 'notReady');
		t.is(trace.calls.includes('monitor.destroy'), monitorLives);
	});
}
