import test from 'ava';
import {InvalidArgumentError, UnimplementedError} from '../../../base/errors.js';
import type {LaunchSpec, MountSpec} from '../../../native/native.js';
import type {LaunchFacts} from '../handler.js';
import {launchFacts, launchSpec} from './fake-launch.js';
import {toJson, toOciSpec} from './spec.js';

const PLACE = {bundle: '/b', user: {uid: 1, gid: 2, additionalGids: [2]}, home: 'HOME=/h', mountOptions: 'rw', namespaces: []};

/** As a runtime would read it. */
interface Read {
	readonly ociVersion: string;
	readonly process: Readonly<Record<string, unknown>> & {readonly env: readonly string[]};
	readonly root: object;
	readonly mounts: readonly object[];
	readonly linux: Readonly<Record<string, unknown>> & {readonly namespaces: readonly object[]; readonly resources: {readonly devices: readonly object[]}};
}
const read = (spec: LaunchSpec, facts: Partial<LaunchFacts> = {}): Read => JSON.parse(toJson(toOciSpec(spec, launchFacts(facts), PLACE))) as Read;

test('a plain container: version, root, cgroup, namespaces; those of the pod are inherited from the monitor', t => {
	const spec = read(launchSpec());
	t.is(spec.ociVersion, '1.0.2');
	t.deepEqual(spec.root, {path: 'rootfs', readonly: false});
	t.is(spec.linux['cgroupsPath'], '/pod/c1');
	t.is(spec.linux['rootfsPropagation'], 'rprivate');
	t.deepEqual(spec.linux.namespaces, [{type: 'mount'}, {type: 'pid'}, {type: 'cgroup'}]);
	t.false('seccomp' in spec.linux);
	t.false('hostname' in spec);
});

for (const [pid, cgroup, expected] of [
	['pod', 'new', [{type: 'pid', path: '/b/pidns'}, {type: 'cgroup'}]],
	[{pid: 77}, 'new', [{type: 'pid', path: '/b/pidns'}, {type: 'cgroup'}]],
	['host', 'host', []],
] as const) {
	test(`PID namespace ${JSON.stringify(pid)}, cgroup namespace ${cgroup}`, t => {
		t.deepEqual(read(launchSpec({namespaces: {pid, cgroup}})).linux.namespaces, [{type: 'mount'}, ...expected]);
	});
}

test('process: arguments, environment with HOME where it is missing, capabilities by name, limits of 64 bits', t => {
	const process = read(
		launchSpec(
			{},
			{
				args: ['a', '"b"'],
				env: [Buffer.from('A=ü "q"')],
				cwd: '/w',
				tty: true,
				noNewPrivileges: true,
				capabilities: {bounding: 0x401n, effective: 0x401n, permitted: 0x401n, inheritable: 0n, ambient: 0n},
				rlimits: [{resource: 7, soft: 1024n, hard: -1n}],
			},
		),
	).process;
	t.like(process, {terminal: true, args: ['a', '"b"'], cwd: '/w', noNewPrivileges: true, user: {uid: 1, gid: 2}});
	t.deepEqual(process.env, ['A=ü "q"', 'HOME=/h']);
	const names = ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'];
	t.deepEqual(process['capabilities'], {bounding: names, effective: names, permitted: names, inheritable: [], ambient: []});
	const whole = toJson(toOciSpec(launchSpec({}, {rlimits: [{resource: 7, soft: 1024n, hard: -1n}]}), launchFacts(), PLACE));
	t.true(whole.includes('{"type":"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615}'), whole);
	t.deepEqual(read(launchSpec({}, {env: [Buffer.from('HOME=/mine')]})).process.env, ['HOME=/mine']);
});

test('an environment that is not UTF-8 is refused, naming the variable', t => {
	const spec = launchSpec({}, {env: [Buffer.from([0x4b, 0x3d, 0xff])]});
	t.throws(() => read(spec), {instanceOf: InvalidArgumentError, message: /envs: the value of K is not UTF-8/});
});

test('offsets of a time namespace are refused', t => {
	t.throws(() => read(launchSpec({timeOffsets: {monotonicNs: 1n, boottimeNs: 0n}})), {instanceOf: UnimplementedError, message: /annotations/});
});

test('mounts keep their order and their places; options of binds are those of the prepared mount', t => {
	const bind: MountSpec = {
		kind: 'bind',
		source: '/host/evil',
		target: '/v',
		recursive: true,
		readonly: true,
		recursiveReadOnly: false,
		noexec: true,
		nosuid: false,
		nodev: false,
		propagation: 'slave',
		idMapped: false,
	} as MountSpec;
	const mounts: MountSpec[] = [
		{kind: 'filesystem', fstype: 'tmpfs', target: '/dev', flags: 2 | (1 << 24), data: 'mode=755,size=65536k'},
		bind,
		{kind: 'shm', target: '/dev/shm'},
		{kind: 'cgroup', target: '/sys/fs/cgroup', readonly: true, hierarchies: []},
	];
	const text = toJson(toOciSpec(launchSpec({mounts}), launchFacts(), PLACE));
	t.deepEqual((JSON.parse(text) as Read).mounts, [
		{destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k']},
		{destination: '/v', type: 'bind', source: '/b/mounts/1', options: ['rbind', 'rslave', 'rw']},
		{destination: '/dev/shm', type: 'bind', source: '/b/mounts/2', options: ['rbind', 'rprivate', 'rw']},
		{destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro']},
	]);
	t.false(text.includes('/host/evil'), 'no path of the host is left for the runtime to follow');
});

test('devices and their rules: everything denied first; privileged: everything allowed', t => {
	const devices = [{path: '/dev/x', type: 'c', major: 10, minor: 229, mode: 0o600, uid: 3, gid: 4}] as const;
	const rules = [{type: 'c', major: 10, minor: null, access: 'r'}] as const;
	const {linux} = read(launchSpec({devices}), {deviceRules: rules});
	t.deepEqual(linux['devices'], [{path: '/dev/x', type: 'c', major: 10, minor: 229, fileMode: 0o600, uid: 3, gid: 4}]);
	t.deepEqual(linux.resources.devices, [
		{allow: false, access: 'rwm'},
		{allow: true, type: 'c', major: 10, access: 'r'},
	]);
	t.deepEqual(read(launchSpec(), {deviceRules: 'all'}).linux.resources.devices, [{allow: true, access: 'rwm'}]);
});

test('seccomp: the rules that were chosen, values of 64 bits whole', t => {
	const seccomp = {
		defaultAction: 'SCMP_ACT_ERRNO',
		defaultErrno: 1,
		architectures: ['SCMP_ARCH_X86'],
		syscalls: [
			{names: ['clone'], action: 'SCMP_ACT_ALLOW', errno: null, args: [{index: 0, value: 0xffff_ffff_ffff_fff0n, valueTwo: 0n, op: 'SCMP_CMP_MASKED_EQ'}]},
		],
	};
	const text = toJson(toOciSpec(launchSpec(), launchFacts({seccomp}), PLACE));
	t.true(text.includes('"value":18446744073709551600'), text);
	const {linux} = JSON.parse(text) as {readonly linux: {readonly seccomp: {readonly architectures: readonly string[]; readonly defaultErrnoRet: number}}};
	t.is(linux.seccomp.defaultErrnoRet, 1);
	t.true(linux.seccomp.architectures.includes('SCMP_ARCH_X86'));
	t.is(linux.seccomp.architectures.length, 2, 'and the own one');
});
