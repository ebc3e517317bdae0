import test from 'ava';
import {UnimplementedError} from '../../../base/errors.js';
import type {LaunchSpec, MountSpec} from '../../../native/native.js';
import {NO_RESOURCES} from '../../cgroup/resources.js';
import {sandboxRecord} from '../../fake-records.js';
import {toPauseSpec, toShimSpec, type PodPlace} from './spec.js';

const bind = {
	kind: 'bind',
	source: '/host',
	target: '/in',
	recursive: true,
	readonly: false,
	recursiveReadOnly: false,
	noexec: false,
	nosuid: false,
	nodev: false,
	propagation: 'private',
	idMapped: false,
	idMaps: null,
} as unknown as MountSpec & {
	readonly kind: 'bind';
};
const spec = {
	containerId: 'c',
	namespaces: {pid: 'pod', cgroup: 'new'},
	timeOffsets: null,
	rootfs: {lowerDirs: ['/l'], upperDir: '/u', workDir: '/w', readonly: false, propagation: 'private'},
	mounts: [],
	devices: [],
	maskedPaths: [],
	readonlyPaths: [],
	process: {
		args: ['sh'],
		env: [],
		cwd: '/',
		capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
		noNewPrivileges: true,
		rlimits: [],
		oomScoreAdj: 500,
		seccomp: null,
		tty: false,
	},
} as unknown as LaunchSpec;
const facts = {cgroupPath: '/pod/c', resources: {...NO_RESOURCES, cpuShares: 512n, memoryLimitBytes: 1n << 26n}, deviceRules: 'all', seccomp: null} as const;
const user = {uid: 5, gid: 6, supplementalGids: [6, 7]};
const record = {...sandboxRecord('pod'), annotations: {'io.katacontainers.config.hypervisor.default_vcpus': '2', other: 'x'}};
const pod: PodPlace = {record, monitorPid: 100, pausePid: 200, shmDir: '/run/shm', cgroupName: 'crio-p'};

interface Config {
	readonly process: {readonly user: object; readonly oomScoreAdj: number};
	readonly mounts: readonly {readonly options: readonly string[]; readonly source: string}[];
	readonly annotations: Readonly<Record<string, string>>;
	readonly linux: {readonly namespaces: readonly object[]; readonly resources: object};
}
const toConfig = (changes: Partial<LaunchSpec> = {}): Config => toShimSpec({...spec, ...changes}, facts, {pod, user, home: 'HOME=/'}) as Config;
const optionsOf = (mount: MountSpec): readonly string[] => toConfig({mounts: [mount]}).mounts[0]?.options ?? [];

test("a container joins its pod's namespaces, is told what it is, and has its limits", t => {
	const config = toConfig();
	t.deepEqual(config.linux.namespaces, [
		{type: 'mount'},
		{type: 'pid', path: '/proc/200/ns/pid'},
		{type: 'cgroup'},
		{type: 'network', path: record.attachment?.netnsPath ?? '/proc/100/ns/net'},
		{type: 'ipc', path: '/proc/100/ns/ipc'},
		{type: 'uts', path: '/proc/100/ns/uts'},
	]);
	t.like(config.annotations, {
		'io.kubernetes.cri.container-type': 'container',
		'io.kubernetes.cri.sandbox-id': record.id,
		'io.katacontainers.config.hypervisor.default_vcpus': '2',
	});
	t.false('other' in config.annotations);
	t.like(config.linux.resources, {cpu: {shares: 512n}, memory: {limit: 1n << 26n}});
	t.deepEqual(config.process.user, {uid: 5, gid: 6, additionalGids: [6, 7]});
	t.is(config.process.oomScoreAdj, 500);
	const pidOf = (pid: LaunchSpec['namespaces']['pid']): object | undefined =>
		toConfig({namespaces: {...spec.namespaces, pid}}).linux.namespaces.find(each => (each as {type: string}).type === 'pid');
	t.deepEqual([pidOf('new'), pidOf('host'), pidOf({pid: 7})], [{type: 'pid'}, undefined, {type: 'pid', path: '/proc/7/ns/pid'}]);
});

test('mounts: by the paths of the host, with the options that were asked for', t => {
	t.deepEqual(optionsOf(bind), ['rbind', 'rprivate']);
	t.deepEqual(optionsOf({...bind, recursive: false, propagation: 'slave', readonly: true, noexec: true, nosuid: true, nodev: true}), [
		'bind',
		'rslave',
		'ro',
		'noexec',
		'nosuid',
		'nodev',
	]);
	t.deepEqual(optionsOf({...bind, readonly: true, recursiveReadOnly: true}), ['rbind', 'rprivate', 'rro']);
	t.is(toConfig({mounts: [{kind: 'shm', target: '/dev/shm'}]}).mounts[0]?.source, '/run/shm');
	const image = {
		kind: 'image',
		image: 'i',
		lowerDirs: ['/a', '/b'],
		upperDir: '',
		workDir: '',
		subPath: '',
		target: '/i',
		noexec: true,
		nosuid: false,
		nodev: false,
	} as const;
	t.deepEqual(optionsOf(image), ['lowerdir=/a:/b', 'ro', 'noexec']);
	t.deepEqual(optionsOf({...image, lowerDirs: ['/a']}), ['bind', 'ro', 'noexec']);
	t.throws(() => optionsOf({...image, subPath: 'part'}), {instanceOf: UnimplementedError, message: /^mounts\.image_sub_path: /});
});

test("the pod's own task has PIDs of its own unless the pod has the node's", t => {
	const types = (pid: 'pod' | 'node'): readonly string[] => {
		const config = toPauseSpec({...pod, record: {...record, namespaces: {...record.namespaces, pid}}}) as Config;
		t.is(config.annotations['io.kubernetes.cri.container-type'], 'sandbox');
		t.like(config.linux, {cgroupsPath: `${record.cgroupParent}/crio-p`});
		return config.linux.namespaces.map(each => (each as {type: string}).type);
	};
	t.deepEqual(types('pod'), ['mount', 'pid', 'network', 'ipc', 'uts']);
	t.deepEqual(types('node'), ['mount', 'network', 'ipc', 'uts']);
});
