import test from 'ava';
import fc from 'fast-check';
import {InvalidArgumentError} from '../../base/errors.js';
import type {ImageConfig} from '../../image/image.js';
import {Signal, type ContainerConfig__Output} from '../../proto/cri.js';
import {containerConfig} from '../fake-runtime.js';
import {toExecFacts, toExecProcess} from './exec.js';
import {assertProcess, toArgs, toCwd, toEnv} from './process.js';
import {toStopSignal} from './stop-signal.js';
import {toUserSpec} from './user.js';

const image = (changes: Partial<ImageConfig> = {}): ImageConfig => ({
	user: '',
	env: [],
	entrypoint: [],
	cmd: [],
	workingDir: '',
	volumes: [],
	stopSignal: '',
	labels: {},
	...changes,
});
const security = (changes: object): ContainerConfig__Output =>
	containerConfig({
		linux: {
			resources: null,
			security_context: {
				run_as_user: null,
				run_as_username: '',
				run_as_group: null,
				supplemental_groups: [],
				supplemental_groups_policy: 0,
				...changes,
			} as never,
		},
	});

for (const [command, args, entrypoint, cmd, argv] of [
	[[], [], ['/e'], ['c'], ['/e', 'c']],
	[[], ['a'], ['/e'], ['c'], ['/e', 'a']],
	[['/x'], [], ['/e'], ['c'], ['/x']],
	[['/x'], ['a'], ['/e'], ['c'], ['/x', 'a']],
	[[], [], [], ['c'], ['c']],
	[[], ['a'], [], [], ['a']],
] as const) {
	test(`argv of command [${command}] args [${args}] over entrypoint [${entrypoint}] cmd [${cmd}] is [${argv}]`, t => {
		t.deepEqual(toArgs(containerConfig({command: [...command], args: [...args]}), image({entrypoint, cmd})), [...argv]);
	});
}

test('a container with nothing to run is refused', t => {
	t.throws(() => toArgs(containerConfig(), image()), {instanceOf: InvalidArgumentError, message: /^no command/});
	t.throws(() => toArgs(containerConfig({command: ['']}), image()), {instanceOf: InvalidArgumentError, message: /^no command/});
});

test('env: defaults, then the image, then the config, later ones winning, each name once', t => {
	const envs = [
		{key: 'B', value: Buffer.from('config')},
		{key: 'C', value: Buffer.from([0xff, 0xfe])},
	];
	const env = toEnv(containerConfig({envs, tty: true}), image({env: ['PATH=/bin', 'A=1', 'B=image']}), {hostname: 'web', cdi: []}).map(line =>
		Buffer.from(line).toString('latin1'),
	);
	t.deepEqual(env, ['PATH=/bin', 'TERM=xterm', 'HOSTNAME=web', 'A=1', 'B=config', 'C=\xff\xfe']);
});

test('env without a terminal has no TERM; an image can take a variable out', t => {
	const env = toEnv(containerConfig(), image({env: ['HOSTNAME']}), {hostname: 'web', cdi: []}).map(String);
	t.deepEqual(env, [Buffer.from('PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')].map(String));
});

test('env values keep any bytes but NUL', t => {
	fc.assert(
		fc.property(fc.uint8Array({minLength: 1, maxLength: 20}), bytes => {
			const [line] = toEnv(containerConfig({envs: [{key: 'X', value: Buffer.from(bytes)}]}), image(), {hostname: 'h', cdi: []}).slice(-1);
			return Buffer.from(line ?? [])
				.subarray(2)
				.equals(bytes);
		}),
	);
	t.pass();
});

for (const [asked, ofImage, cwd] of [
	['', '', '/'],
	['', '/srv', '/srv'],
	['/tmp', '/srv', '/tmp'],
	['', 'app', '/app'],
] as const) {
	test(`cwd of "${asked}" over the image's "${ofImage}" is ${cwd}`, t => t.is(toCwd(containerConfig({working_dir: asked}), image({workingDir: ofImage})), cwd));
}

for (const [changes, message] of [
	[{command: ['a\0b']}, 'command holds a NUL byte'],
	[{args: ['\0']}, 'args holds a NUL byte'],
	[{envs: [{key: '', value: Buffer.from('x')}]}, 'envs: key "" is empty or holds "=" or a NUL byte'],
	[{envs: [{key: 'A=B', value: Buffer.from('x')}]}, 'envs: key "A=B" is empty or holds "=" or a NUL byte'],
	[{envs: [{key: 'A', value: Buffer.from([0])}]}, 'envs: the value of A holds a NUL byte'],
	[{working_dir: 'srv'}, 'working_dir "srv" is not an absolute path'],
	[{stdin_once: true}, 'stdin_once is set without stdin'],
] as const) {
	test(`process is refused: ${message}`, t => {
		t.throws(() => assertProcess(containerConfig(changes as never)), {instanceOf: InvalidArgumentError, message});
	});
}

for (const [changes, ofImage, expected] of [
	[{}, 'www-data:1004', {spec: 'www-data:1004', uid: null, gid: null}],
	[{run_as_user: {value: '1000'}}, 'www-data', {spec: '1000', uid: 1000, gid: null}],
	[{run_as_user: {value: '0'}}, 'www-data', {spec: '0', uid: 0, gid: null}],
	[{run_as_user: {value: '1000'}, run_as_group: {value: '2000'}}, '', {spec: '1000:2000', uid: 1000, gid: 2000}],
	[{run_as_username: 'nobody'}, 'www-data', {spec: 'nobody', uid: null, gid: null}],
	[{run_as_username: 'nobody', run_as_group: {value: '7'}}, '', {spec: 'nobody:7', uid: null, gid: 7}],
	[{supplemental_groups: ['5', '6'], supplemental_groups_policy: 1}, '', {supplementalGids: [5, 6], groupsPolicy: 'strict'}],
	[{supplemental_groups: []}, '', {supplementalGids: [], groupsPolicy: 'merge'}],
] as const) {
	test(`user of ${JSON.stringify(changes)} over the image's "${ofImage}"`, t => t.like(toUserSpec(security(changes), ofImage), expected));
}

for (const [changes, message] of [
	[{run_as_group: {value: '1'}}, 'run_as_group is set without run_as_user or run_as_username'],
	[{run_as_user: {value: '1'}, run_as_username: 'a'}, 'run_as_user and run_as_username are both set: only one may be'],
	[{run_as_user: {value: '-1'}}, 'run_as_user -1 is not in 0..2147483647'],
	[{run_as_user: {value: '4294967295'}}, 'run_as_user 4294967295 is not in 0..2147483647'],
	[{run_as_user: {value: '1'}, run_as_group: {value: '9223372036854775807'}}, 'run_as_group 9223372036854775807 is not in 0..2147483647'],
	[{supplemental_groups: ['-1']}, 'supplemental_groups -1 is not in 0..2147483647'],
	[{run_as_username: 'a:b'}, 'run_as_username "a:b" is not a user name'],
] as const) {
	test(`user is refused: ${message}`, t => {
		t.throws(() => toUserSpec(security(changes), ''), {instanceOf: InvalidArgumentError, message});
	});
}

for (const [asked, ofImage, number] of [
	[Signal.SIGNAL_RUNTIME_DEFAULT, '', 15],
	[Signal.SIGNAL_RUNTIME_DEFAULT, 'SIGQUIT', 3],
	[Signal.SIGNAL_RUNTIME_DEFAULT, 'quit', 3],
	[Signal.SIGNAL_RUNTIME_DEFAULT, '10', 10],
	[Signal.SIGNAL_RUNTIME_DEFAULT, 'SIGRTMIN+3', 37],
	[Signal.SIGNAL_RUNTIME_DEFAULT, 'RTMAX-1', 63],
	[Signal.SIGNAL_SIGINT, 'SIGQUIT', 2],
	[Signal.SIGNAL_SIGRTMIN, '', 34],
	[Signal.SIGNAL_SIGRTMINPLUS15, '', 49],
	[Signal.SIGNAL_SIGRTMAXMINUS14, '', 50],
	[Signal.SIGNAL_SIGRTMAX, '', 64],
	[Signal.SIGNAL_SIGCLD, '', 17],
] as const) {
	test(`stop signal ${asked} over the image's "${ofImage}" is ${number}`, t => t.is(toStopSignal(asked, ofImage), number));
}

test('every stop signal of the CRI has a number', t => {
	for (const signal of Object.values(Signal)) t.true(toStopSignal(signal, '') > 0);
});

for (const text of ['SIGNOPE', '0', '65', 'SIGRTMIN+31', 'SIGRTMAX+1']) {
	test(`the stop signal ${text} is refused`, t => {
		t.throws(() => toStopSignal(Signal.SIGNAL_RUNTIME_DEFAULT, text), {
			instanceOf: InvalidArgumentError,
			message: `the image's StopSignal "${text}" is no signal`,
		});
	});
}

test('an exec runs as its container, with another argv and no second look-up of groups', t => {
	const capabilities = {bounding: 1n, effective: 1n, permitted: 1n, inheritable: 0n, ambient: 0n};
	const user = {spec: 'web', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'} as const;
	const main = {
		args: ['/web'],
		env: [Buffer.from([0x41, 0x3d, 0xff])],
		cwd: '/srv',
		user,
		capabilities,
		noNewPrivileges: true,
		rlimits: [{resource: 7, soft: 1n, hard: 2n}],
		apparmorProfile: 'p',
		selinuxLabel: 'l',
		oomScoreAdj: 5,
		seccomp: null,
		tty: false,
	};
	const facts = toExecFacts(main, {uid: 7, gid: 8, supplementalGids: [9]}, 'sha256:x');
	t.is(facts.seccompKey, 'sha256:x');
	const program = new Uint8Array([1]);
	t.deepEqual(toExecProcess(facts, ['sh'], false, program), {
		...main,
		args: ['sh'],
		env: [Buffer.from([0x41, 0x3d, 0xff])],
		user: {spec: '', uid: 7, gid: 8, supplementalGids: [9], groupsPolicy: 'strict'},
		seccomp: program,
	});
	t.deepEqual(toExecProcess(facts, ['sh'], true, null).env.map(String), ['A=\ufffd', 'TERM=xterm']);
	const withTerm = {...facts, envBase64: [Buffer.from('TERM=vt100').toString('base64')]};
	t.deepEqual(toExecProcess(withTerm, ['sh'], true, null).env.map(String), ['TERM=vt100']);
});
