import test from 'ava';
import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import type {ContainerConfig__Output, Mount__Output} from '../../proto/cri.js';
import {detectCgroups} from '../cgroup/hierarchies.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {sandboxRecord} from '../fake-records.js';
import {containerConfig} from '../fake-runtime.js';
import {assertMounts, hasOwnDev, toMounts, toRootPropagation} from './mounts.js';

const V2 = detectCgroups('30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n');
const pod = sandboxRecord('s1');
const hostIpc = {...pod, namespaces: {...pod.namespaces, ipc: 'node'}} as const;
const mount = (changes: Partial<Mount__Output> = {}): Mount__Output => ({
	container_path: '/data',
	host_path: '/srv/data',
	readonly: false,
	selinux_relabel: false,
	propagation: 0,
	uidMappings: [],
	gidMappings: [],
	recursive_read_only: false,
	image: null,
	image_sub_path: '',
	mount_options: [],
	...changes,
});
const withMounts = (...mounts: Partial<Mount__Output>[]): ContainerConfig__Output => containerConfig({mounts: mounts.map(mount)});
const withSecurity = (changes: object): ContainerConfig__Output => containerConfig({linux: {resources: null, security_context: changes as never}});
const mountsOf = (config: ContainerConfig__Output, sandbox: SandboxRecord = pod) => toMounts({config, sandbox, hierarchies: V2, volumes: new Map(), cdi: []});
const targets = (config: ContainerConfig__Output): string[] => mountsOf(config).map(({target}) => target);

test("a plain container has the standard filesystems and the pod's files", t => {
	t.deepEqual(mountsOf(containerConfig()).slice(0, 7), [
		{kind: 'filesystem', fstype: 'proc', target: '/proc', flags: 14, data: ''},
		{kind: 'filesystem', fstype: 'tmpfs', target: '/dev', flags: 2 | (1 << 24), data: 'mode=755,size=65536k'},
		{kind: 'filesystem', fstype: 'devpts', target: '/dev/pts', flags: 10, data: 'newinstance,ptmxmode=0666,mode=0620,gid=5'},
		{kind: 'filesystem', fstype: 'mqueue', target: '/dev/mqueue', flags: 14, data: ''},
		{kind: 'shm', target: '/dev/shm'},
		{kind: 'filesystem', fstype: 'sysfs', target: '/sys', flags: 15, data: ''},
		{kind: 'cgroup', target: '/sys/fs/cgroup', readonly: true, hierarchies: [{name: '', fstype: 'cgroup2', options: ''}]},
	]);
	t.deepEqual(targets(containerConfig()).slice(7), ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']);
	t.like(mountsOf(containerConfig()).at(-1), {kind: 'bind', source: `${pod.files.dir}/resolv.conf`, readonly: false});
});

test("on the host's IPC the host's /dev/shm is seen", t => {
	t.like(
		mountsOf(containerConfig(), hostIpc).find(({target}) => target === '/dev/shm'),
		{kind: 'bind', source: '/dev/shm', readonly: false},
	);
});

test('privileged has /sys and cgroups writable', t => {
	const mounts = mountsOf(withSecurity({privileged: true}));
	t.like(
		mounts.find(({target}) => target === '/sys'),
		{flags: 14},
	);
	t.like(
		mounts.find(({target}) => target === '/sys/fs/cgroup'),
		{readonly: false},
	);
});

test("the pod's files are read-only where the root is", t => {
	const files = mountsOf(withSecurity({readonly_rootfs: true})).filter(({target}) => target.startsWith('/etc/'));
	t.is(files.length, 3);
	t.true(files.every(file => file.kind === 'bind' && file.readonly));
});

test('a requested mount takes the place of a standard one, also written with a slash at the end', t => {
	const config = withMounts({container_path: '/etc/hosts', host_path: '/kubelet/hosts'}, {container_path: '/dev/shm/'}, {container_path: '/sys'});
	const mounts = mountsOf(config);
	for (const target of ['/etc/hosts', '/dev/shm', '/sys']) t.is(mounts.filter(each => each.target === target).length, 1);
	t.like(
		mounts.find(({target}) => target === '/etc/hosts'),
		{source: '/kubelet/hosts'},
	);
});

test('a /dev of its own drops everything below it', t => {
	const config = withMounts({container_path: '/dev', host_path: '/dev'});
	t.false(targets(config).some(target => target.startsWith('/dev/')));
	t.true(hasOwnDev(config));
	t.false(hasOwnDev(containerConfig()));
});

test('requested mounts come parents first, else in the order asked', t => {
	const config = withMounts({container_path: '/a/b/c'}, {container_path: '/z'}, {container_path: '/a/b'}, {container_path: '/a'});
	t.deepEqual(targets(config).slice(7), ['/z', '/a', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/a/b', '/a/b/c']);
});

for (const [changes, expected] of [
	[
		{},
		{
			source: '/srv/data',
			target: '/data',
			recursive: true,
			readonly: false,
			recursiveReadOnly: false,
			noexec: false,
			nosuid: false,
			nodev: false,
			idMapped: false,
			idMaps: null,
			propagation: 'private',
		},
	],
	[{readonly: true}, {readonly: true, recursiveReadOnly: false}],
	[
		{readonly: true, recursive_read_only: true},
		{readonly: true, recursiveReadOnly: true},
	],
	[{propagation: 1}, {propagation: 'slave'}],
	[{propagation: 2}, {propagation: 'shared'}],
	[{mount_options: ['noexec', 'nosuid', 'nodev']}, {noexec: true, nosuid: true, nodev: true}],
] as const) {
	test(`a bind of ${JSON.stringify(changes)}`, t => {
		const found = mountsOf(withMounts(changes as never)).find(({target}) => target === '/data');
		t.like(found, {kind: 'bind', ...expected});
	});
}

test('the root propagates as far as its widest mount', t => {
	t.is(toRootPropagation(containerConfig()), 'private');
	t.is(toRootPropagation(withMounts({propagation: 1}, {})), 'slave');
	t.is(toRootPropagation(withMounts({propagation: 1}, {propagation: 2})), 'shared');
});

for (const [changes, message] of [
	[{container_path: 'data'}, 'mounts[0] (data): container_path is not an absolute path below /'],
	[{container_path: '/'}, 'mounts[0] (/): container_path is not an absolute path below /'],
	[{container_path: '/a/../..'}, 'mounts[0] (/a/../..): container_path is not an absolute path below /'],
	[{host_path: ''}, 'mounts[0] (/data): host_path "" is not an absolute path'],
	[{host_path: 'x'}, 'mounts[0] (/data): host_path "x" is not an absolute path'],
	[{propagation: 7}, 'mounts[0] (/data): propagation 7 is unknown'],
	[{recursive_read_only: true}, 'mounts[0] (/data): recursive_read_only needs readonly'],
	[{recursive_read_only: true, readonly: true, propagation: 1}, 'mounts[0] (/data): recursive_read_only needs private propagation'],
	[{recursive_read_only: true, readonly: true, propagation: 2}, 'mounts[0] (/data): recursive_read_only needs private propagation'],
	[{propagation: 2}, 'mounts[0] (/data): bidirectional propagation needs a privileged container'],
] as const) {
	test(`mount is refused: ${message} (propagation ${'propagation' in changes ? changes.propagation : 0})`, t => {
		t.throws(() => assertMounts([mount(changes as never)], false, null), {instanceOf: InvalidArgumentError, message});
	});
}

for (const [changes, field] of [[{mount_options: ['noatime']}, 'mounts[1].mount_options']] as const) {
	test(`mount is not implemented: ${JSON.stringify(changes)}`, t => {
		const error = t.throws(() => assertMounts([mount(), mount(changes as never)], false, null), {instanceOf: UnimplementedError});
		t.is(error.details['field'], field);
	});
}

test('mounts that are right pass', t => {
	t.notThrows(() => assertMounts([mount({propagation: 2}), mount({readonly: true, recursive_read_only: true, mount_options: ['noexec']})], true, null));
});
