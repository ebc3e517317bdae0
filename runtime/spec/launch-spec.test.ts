import {mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError, NotFoundError, WrongStateError} from '../../base/errors.js';
import type {ImageRecord} from '../../image/image.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';
import {DEFAULT_DEVICE_RULES} from '../cgroup/device-rules.js';
import type {ContainerRecord} from '../container/record.js';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import {containerConfig, fakeRuntime} from '../fake-runtime.js';
import {DEFAULT_DEVICES, findDevices, toMajorMinor} from './devices.js';
import {security} from './fake-config.js';
import {planLaunch} from './launch-plan.js';
import {DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS, toCoveredPaths} from './paths.js';

const ordinary = sandboxRecord('s1');
const pod = {...ordinary, logDirectory: '/var/log/pod', privileged: true, namespaces: {network: 'pod', pid: 'pod', ipc: 'pod', targetId: ''}} as const;
const snapshot = {lowerDirs: ['/l2', '/l1'], upperDir: '/u', workDir: '/w'};
const snapshots = {root: snapshot, volumes: new Map()};
const image: ImageRecord = {
	id: 'sha256:i',
	repoTags: [],
	repoDigests: [],
	sizeBytes: 1,
	layers: [],
	pinned: false,
	configJson: '',
	manifest: null,
	config: {
		user: 'www',
		env: ['A=1'],
		entrypoint: ['/e'],
		cmd: ['c'],
		workingDir: '/srv',
		volumes: ['/data', 'cache/', '/etc/hosts', '/'],
		stopSignal: 'SIGQUIT',
		labels: {},
	},
};
const pidMode = (pid: number, target_id = ''): object => ({namespace_options: {network: 0, pid, ipc: 0, target_id, userns_options: null}});

/** The plan of a container over a fake runtime with these other containers. */
async function plan(t: ExecutionContext, changes: Partial<ContainerConfig__Output>, sandbox: typeof ordinary = pod, others: readonly ContainerRecord[] = []) {
	const {runtime, remove} = await fakeRuntime([pod, ...others]);
	t.teardown(remove);
	return await planLaunch(runtime, {id: 'c1', sandbox, config: containerConfig(changes), image});
}
const spec = async (t: ExecutionContext, changes: Partial<ContainerConfig__Output>, sandbox: typeof ordinary = pod, others: readonly ContainerRecord[] = []) =>
	(await plan(t, changes, sandbox, others)).toSpec(snapshots);

test('a plain container, whole', async t => {
	const {record, toSpec} = await plan(t, {log_path: 'main/0.log', tty: true, stdin: true});
	const launch = toSpec(snapshots);
	t.like(launch, {
		containerId: 'c1',
		namespaces: {pid: 'pod', cgroup: 'new'},
		rootfs: {...snapshot, readonly: false, propagation: 'private'},
		maskedPaths: DEFAULT_MASKED_PATHS,
		readonlyPaths: DEFAULT_READONLY_PATHS,
		log: {path: '/var/log/pod/main/0.log', maxLineBytes: 16_384},
		stdin: 'pipe',
		volumeDirs: ['/data', '/cache'],
		process: {args: ['/e', 'c'], cwd: '/srv', noNewPrivileges: false, oomScoreAdj: null, seccomp: null, tty: true, user: {spec: 'www', uid: null}},
	});
	t.deepEqual(launch.devices, DEFAULT_DEVICES);
	t.deepEqual(launch.cgroup.dirs, [`/sys/fs/cgroup${pod.cgroupParent}/c1`]);
	t.like(record, {
		kind: 'container',
		id: 'c1',
		sandboxId: pod.id,
		state: {phase: 'creating'},
		logPath: '/var/log/pod/main/0.log',
		stopSignal: 3,
		cgroupPath: `${pod.cgroupParent}/c1`,
		image: {asked: 'busybox', id: 'sha256:i'},
	});
	t.deepEqual(record.cgroupJoin, launch.cgroup.join);
	t.is(record.exec.seccompKey, null);
});

test('no log without a log path or a log directory', async t => {
	t.is((await spec(t, {})).log, null);
	t.is((await spec(t, {log_path: 'x.log'}, {...pod, logDirectory: ''})).log, null);
});

test('what the security context says of the process and its root', async t => {
	const launch = await spec(t, {
		...security({
			readonly_rootfs: true,
			no_new_privs: true,
			run_as_user: {value: '7'},
			masked_paths: ['/bin/ls'],
			capabilities: {add_capabilities: [], drop_capabilities: ['ALL'], add_ambient_capabilities: []},
		}),
		mounts: [
			{
				container_path: '/m',
				host_path: '/m',
				readonly: false,
				selinux_relabel: false,
				propagation: 1,
				uidMappings: [],
				gidMappings: [],
				recursive_read_only: false,
				image: null,
				image_sub_path: '',
				mount_options: [],
			},
		],
	});
	t.like(launch, {
		rootfs: {readonly: true, propagation: 'slave'},
		maskedPaths: ['/bin/ls'],
		readonlyPaths: [],
		process: {noNewPrivileges: true, user: {uid: 7}, capabilities: {bounding: 0n, effective: 0n}},
	});
});

test("oom_score_adj is the resources'", async t => {
	const resources = {
		cpu_period: '0',
		cpu_quota: '0',
		cpu_shares: '2',
		memory_limit_in_bytes: '0',
		oom_score_adj: '-998',
		cpuset_cpus: '',
		cpuset_mems: '',
		hugepage_limits: [],
		unified: {},
		memory_swap_limit_in_bytes: '0',
	};
	const {record, toSpec} = await plan(t, {linux: {resources, security_context: null}});
	t.is(toSpec(snapshots).process.oomScoreAdj, -998);
	t.is(record.resources.cpuShares, 2n);
});

test("privileged: all devices, the host's cgroups, nothing covered, no filter", async t => {
	const launch = await spec(t, security({privileged: true, masked_paths: ['/proc/kcore'], seccomp: {profile_type: 0, localhost_ref: ''}}));
	t.like(launch, {namespaces: {cgroup: 'host'}, maskedPaths: [], readonlyPaths: [], process: {seccomp: null}});
	t.true(DEFAULT_DEVICES.every(({path}) => launch.devices.some(device => device.path === path)));
	t.false(launch.devices.some(({path}) => path.startsWith('/dev/pts/')));
});

for (const [mode, podMode, expected] of [
	[null, 'pod', 'pod'],
	[null, 'container', 'new'],
	[null, 'node', 'host'],
	[0, 'pod', 'pod'],
	[1, 'pod', 'new'],
	[1, 'node', 'new'],
	[2, 'node', 'host'],
] as const) {
	test(`PID namespace of mode ${mode} in a pod of ${podMode} is ${expected}`, async t => {
		const sandbox = {...pod, namespaces: {...pod.namespaces, pid: podMode}};
		t.is((await spec(t, mode === null ? {} : security(pidMode(mode)), sandbox)).namespaces.pid, expected);
	});
}

test('TARGET joins a running container of the same pod, and no other', async t => {
	const created = containerRecord('other', pod);
	const running = {...created, pid: 42, state: {phase: 'running', startedAtNs: 1n}} as const;
	const target = security(pidMode(3, created.id));
	t.deepEqual((await spec(t, target, pod, [running])).namespaces.pid, {pid: 42});
	await t.throwsAsync(plan(t, target, pod, [created]), {instanceOf: WrongStateError});
	await t.throwsAsync(plan(t, target), {instanceOf: NotFoundError});
	await t.throwsAsync(plan(t, target, {...pod, id: 'f'.repeat(64)}, [running]), {instanceOf: InvalidArgumentError, message: /is of another pod sandbox/});
});

test('covered paths: the defaults without a security context, else its lists, none when privileged', t => {
	t.deepEqual(toCoveredPaths(containerConfig()), {maskedPaths: DEFAULT_MASKED_PATHS, readonlyPaths: DEFAULT_READONLY_PATHS});
	t.deepEqual(toCoveredPaths(containerConfig(security({}))), {maskedPaths: [], readonlyPaths: []});
	t.deepEqual(toCoveredPaths(containerConfig(security({masked_paths: ['/a'], readonly_paths: ['/b']}))), {maskedPaths: ['/a'], readonlyPaths: ['/b']});
	t.deepEqual(toCoveredPaths(containerConfig(security({masked_paths: ['/a'], privileged: true}))), {maskedPaths: [], readonlyPaths: []});
});

const withDevices = (...devices: ContainerConfig__Output['devices']): ContainerConfig__Output => containerConfig({devices});

test('a device by its path, or by a link to it, under another path, with its permissions', async t => {
	const dir = await mkdtemp(join(tmpdir(), 'berth-devices-'));
	t.teardown(() => rm(dir, {recursive: true}));
	await symlink('/dev/null', join(dir, 'link'));
	const {specs, rules} = await findDevices(
		withDevices({host_path: join(dir, 'link'), container_path: '/dev/mine', permissions: 'r'}, {host_path: '/dev/zero', container_path: '', permissions: ''}),
	);
	t.like(
		specs.find(({path}) => path === '/dev/mine'),
		{type: 'c', major: 1, minor: 3},
	);
	t.deepEqual(rules, [...DEFAULT_DEVICE_RULES, {type: 'c', major: 1, minor: 3, access: 'r'}, {type: 'c', major: 1, minor: 5, access: 'rwm'}]);
	t.is(specs.filter(({path}) => path === '/dev/zero').length, 1);
});

test('a host path that is missing or no device is refused by name', async t => {
	const dir = await mkdtemp(join(tmpdir(), 'berth-devices-'));
	t.teardown(() => rm(dir, {recursive: true}));
	await writeFile(join(dir, 'file'), '');
	const refused = async (host_path: string, message: RegExp): Promise<void> =>
		void (await t.throwsAsync(findDevices(withDevices({host_path, container_path: '', permissions: ''})), {instanceOf: InvalidArgumentError, message}));
	await refused(join(dir, 'absent'), /^devices\[0\]\.host_path ".*absent" cannot be read: ENOENT/);
	await refused(join(dir, 'file'), /^devices\[0\]\.host_path ".*file" is no device and holds none/);
	await refused(dir, /is no device and holds none/);
});

for (const [rdev, major, minor] of [
	[0x103n, 1, 3],
	[0x8800n, 136, 0],
	[0x120006783459an, 74565, 424090],
] as const) {
	test(`toMajorMinor(0x${rdev.toString(16)}) is ${major}:${minor}`, t => t.deepEqual(toMajorMinor(rdev), {major, minor}));
}
