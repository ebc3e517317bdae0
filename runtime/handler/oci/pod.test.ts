import test from 'ava';
import {FailedError, SyscallError} from '../../../base/errors.js';
import type {ExecRequest, OciText} from '../../../native/native.js';
import {FakeMonitor, Trace} from '../../fake-parts.js';
import {launchFacts, launchSpec} from './fake-launch.js';
import {OciPod} from './pod.js';
import {toOciText} from './text.js';

const OPTIONS = {name: 'runc', type: 'oci', path: '/usr/sbin/runc', options: ['--debug'], timeoutMs: 5000} as const;

function fill(text: OciText): string {
	const values = {bundle: '/B', user: '{"uid":7}', home: '"HOME=/x"', mountOptions: '"ro","nosuid"'};
	return text.map(piece => piece.text + (piece.insert === null ? '' : values[piece.insert])).join('');
}

test('the gaps are where the config has them, and nowhere else', t => {
	const text = toOciText(({bundle, user, home, mountOptions}) => ({
		a: `${bundle}/mounts/1`,
		user,
		env: ['bundle', 'user', home],
		options: ['rbind', mountOptions],
	}));
	t.deepEqual(JSON.parse(fill(text)), {a: '/B/mounts/1', user: {uid: 7}, env: ['bundle', 'user', 'HOME=/x'], options: ['rbind', 'ro', 'nosuid']});
});

test('a container is handed on with the binary and its config; what the config has is not sent twice', async t => {
	const monitor = new FakeMonitor('s1', new Trace());
	const pod = new OciPod(monitor, OPTIONS);
	const env = [Buffer.from('A=b')];
	const spec = launchSpec({mounts: [{kind: 'shm', target: '/dev/shm'}]}, {env, args: ['prog', 'arg'], seccomp: new Uint8Array(8)});
	await pod.createContainer(spec, launchFacts());
	const [launch] = monitor.ociLaunches;
	t.like(launch, {binaryPath: '/usr/sbin/runc', options: ['--debug'], timeoutMs: 5000});
	const config = JSON.parse(fill(launch?.config ?? [])) as {readonly process: object; readonly mounts: readonly object[]};
	t.like(config.process, {args: ['prog', 'arg'], env: ['A=b', 'HOME=/x'], user: {uid: 7}});
	t.like(config.mounts[0], {source: '/B/mounts/0', options: ['rbind', 'rprivate', 'ro', 'nosuid']});
});

test('what the binary says is the error; what the kernel says stays as it is', async t => {
	const monitor = new FakeMonitor('s1', new Trace());
	const pod = new OciPod(monitor, OPTIONS);
	monitor.createOciContainer = async () => {
		throw new SyscallError('runtime create', 5, 'runc create failed: no such thing');
	};
	await t.throwsAsync(pod.createContainer(launchSpec(), launchFacts()), {
		instanceOf: FailedError,
		message: 'runtime handler "runc", create: runc create failed: no such thing',
	});
	monitor.startContainer = async () => {
		throw new SyscallError('exec', 2, '/none');
	};
	await t.throwsAsync(pod.startContainer('c1'), {instanceOf: SyscallError, message: /^exec \/none: ENOENT/});
});

test('an exec goes as a process with numbers for its user', async t => {
	const monitor = new FakeMonitor('s1', new Trace());
	const pod = new OciPod(monitor, OPTIONS);
	const asked: ExecRequest[] = [];
	monitor.execSync = (async (request: ExecRequest) => {
		asked.push(request);
		return {exitCode: 0, stdout: new Uint8Array(), stderr: new Uint8Array(), truncated: false, timedOut: false};
	}) as never;
	const {process} = launchSpec(
		{},
		{user: {spec: '', uid: 5, gid: 6, supplementalGids: [6, 9], groupsPolicy: 'strict'}, env: [Buffer.from('X=1')], args: ['a', 'b']},
	);
	await pod.execSync({containerId: 'c1', execId: 'e1', process, cgroupJoin: []}, {timeoutMs: 0, maxOutputBytes: 1}, null);
	const json = JSON.parse(fill(asked[0]?.oci ?? [])) as object;
	t.like(json, {args: ['a', 'b'], user: {uid: 5, gid: 6, additionalGids: [6, 9]}, env: ['X=1', 'HOME=/x']});
	t.deepEqual(asked[0]?.process.env, []);
});
