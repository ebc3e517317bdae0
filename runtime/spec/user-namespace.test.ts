import test from 'ava';
import {InvalidArgumentError, SyscallError, UnimplementedError} from '../../base/errors.js';
import type {ContainerConfig__Output, IDMapping__Output, Mount__Output, NamespaceOption__Output} from '../../proto/cri.js';
import {detectCgroups} from '../cgroup/hierarchies.js';
import {sandboxRecord} from '../fake-records.js';
import {containerConfig, sandboxConfig} from '../fake-runtime.js';
import {validateContainerConfig} from './container-config.js';
import {podSecurity, security} from './fake-config.js';
import {DEFAULT_DEVICES, toOwnedSpecs} from './devices.js';
import {toMounts} from './mounts.js';
import {toMonitorRequest, validateSandboxConfig} from './sandbox-config.js';
import {podRoot, toUserNamespace} from './user-namespace.js';
import {explain} from './explain.js';

const POD = 0;
const CONTAINER = 1;
const NODE = 2;
const TARGET = 3;
const FIELD = 'namespace_options.userns_options';
const ids = (host_id: number, length = 65_536, container_id = 0): IDMapping__Output => ({host_id, container_id, length});
const userns = (changes: object = {}): NamespaceOption__Output =>
	({
		network: POD,
		pid: CONTAINER,
		ipc: POD,
		target_id: '',
		userns_options: {mode: POD, uids: [ids(100_000)], gids: [ids(200_000)], ...changes},
	}) as NamespaceOption__Output;
const userNamespace = {uids: {first: 100_000, count: 65_536}, gids: {first: 200_000, count: 65_536}};
const plain = sandboxRecord('s1');
const mapped = {...plain, namespaces: {...plain.namespaces, network: 'pod'}, privileged: true, userNamespace} as const;
const secured = (changes: object): ContainerConfig__Output => containerConfig(security(changes));
const mount = (changes: Partial<Mount__Output>): ContainerConfig__Output => {
	const none = {
		readonly: false,
		selinux_relabel: false,
		propagation: 0,
		recursive_read_only: false,
		image: null,
		image_sub_path: '',
		mount_options: [],
	} as const;
	return {
		...secured({privileged: true}),
		mounts: [{container_path: '/data', host_path: '/srv/data', uidMappings: [], gidMappings: [], ...none, ...changes} as unknown as Mount__Output],
	};
};
const mappings = {uidMappings: [ids(100_000)], gidMappings: [ids(200_000)]};

const validatePod = (namespace_options: NamespaceOption__Output): void => validateSandboxConfig(sandboxConfig(podSecurity({namespace_options})));

for (const [changes, message] of [
	[{mode: CONTAINER}, `${FIELD}.mode: only POD and NODE are known`],
	[{mode: TARGET}, `${FIELD}.mode: only POD and NODE are known`],
	[{mode: NODE}, `${FIELD}.uids: mode NODE has no mappings`],
	[{uids: []}, `${FIELD}.uids: exactly one mapping is needed, 0 are given`],
	[{uids: [ids(1), ids(2)]}, `${FIELD}.uids: exactly one mapping is needed, 2 are given`],
	[{gids: [ids(1), ids(2)]}, `${FIELD}.gids: exactly one mapping is needed, 2 are given`],
	[{uids: [ids(100_000, 65_536, 1)]}, `${FIELD}.uids[0].container_id is 1: it must be 0, so that the container's root is mapped`],
	[{gids: [ids(100_000, 65_536, 1)]}, `${FIELD}.gids[0].container_id is 1: it must be 0, so that the container's root is mapped`],
	[{uids: [ids(100_000, 0)]}, `${FIELD}.uids[0]: 0 ids from host_id 100000 on are not in 0..4294967294`],
	[{gids: [ids(4_294_967_295, 1)]}, `${FIELD}.gids[0]: 1 ids from host_id 4294967295 on are not in 0..4294967294`],
] as const) {
	test(`a pod with ${JSON.stringify(changes)} is refused`, t => {
		const error = t.throws(() => validatePod(userns(changes)), {instanceOf: InvalidArgumentError, message});
		t.true(String(error.details['field']).startsWith(FIELD));
	});
}

test("POD is the pod's own user namespace, NODE and nothing are the node's", t => {
	t.notThrows(() => validatePod(userns()));
	t.notThrows(() => validatePod(userns({mode: NODE, uids: [], gids: []})));
	t.notThrows(() => validatePod(userns({uids: [ids(4_294_901_759)]})));
	t.deepEqual(toUserNamespace(userns()), userNamespace);
	t.is(toUserNamespace(userns({mode: NODE, uids: [], gids: []})), null);
	t.is(toUserNamespace({...userns(), userns_options: null}), null);
	t.deepEqual(podRoot(userNamespace), {uid: 100_000, gid: 200_000});
	t.is(podRoot(null), null);
	const place = {
		hierarchies: detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n'),
		shmSizeBytes: 1,
		selinux: false,
		naming: {identity: 'berth', cgroupDriver: 'cgroupfs'} as const,
	};
	t.deepEqual(toMonitorRequest(mapped, place).userNamespace, userNamespace);
	t.is(toMonitorRequest(plain, place).userNamespace, null);
});

test("a container is in its pod's user namespace, whether it says so or not", t => {
	t.notThrows(() => validateContainerConfig(secured({namespace_options: userns()}), mapped));
	t.notThrows(() => validateContainerConfig(secured({namespace_options: {...userns(), userns_options: null}}), mapped));
	t.notThrows(() => validateContainerConfig(containerConfig(), mapped));
	t.notThrows(() => validateContainerConfig(secured({run_as_user: {value: '65535'}, run_as_group: {value: '65535'}}), mapped));
});

const elsewhere = `${FIELD}: not those of the pod sandbox`;
for (const [changes, sandbox, message] of [
	[{namespace_options: userns({uids: [ids(300_000)]})}, mapped, elsewhere],
	[{namespace_options: userns({gids: [ids(200_000, 1000)]})}, mapped, elsewhere],
	[{namespace_options: userns({mode: NODE, uids: [], gids: []})}, mapped, elsewhere],
	[{namespace_options: userns()}, {...mapped, userNamespace: null}, elsewhere],
	[{namespace_options: userns({mode: TARGET})}, mapped, `${FIELD}.mode: only POD and NODE are known`],
	[{run_as_user: {value: '65536'}}, mapped, "run_as_user 65536 is not mapped in the pod's user namespace, which has ids 0..65535"],
	[{run_as_user: {value: '1'}, run_as_group: {value: '70000'}}, mapped, "run_as_group 70000 is not mapped in the pod's user namespace, which has ids 0..65535"],
	[{supplemental_groups: ['5', '65536']}, mapped, "supplemental_groups 65536 is not mapped in the pod's user namespace, which has ids 0..65535"],
] as const) {
	test(`a container with ${JSON.stringify(changes)} is refused in a pod ${sandbox.userNamespace === null ? 'without' : 'with'} a user namespace`, t => {
		t.throws(() => validateContainerConfig(secured(changes), sandbox), {instanceOf: InvalidArgumentError, message});
	});
}

for (const [changes, sandbox, field] of [
	[{...mappings, gidMappings: []}, mapped, 'mounts[0].gidMappings'],
	[{...mappings, uidMappings: []}, plain, 'mounts[0].uidMappings'],
	[{...mappings, uidMappings: [ids(1, 0)]}, plain, 'mounts[0].uidMappings'],
	[{...mappings, uidMappings: [ids(4_294_967_295, 1)]}, plain, 'mounts[0].uidMappings'],
	[{...mappings, gidMappings: [ids(1, 1, 4_294_967_295)]}, plain, 'mounts[0].gidMappings'],
	[{...mappings, gidMappings: [ids(1, 10, 0), ids(20, 10, 9)]}, plain, 'mounts[0].gidMappings'],
	[{...mappings, gidMappings: [ids(1, 10, 0), ids(10, 10, 50)]}, plain, 'mounts[0].gidMappings'],
	[{...mappings, uidMappings: Array.from({length: 341}, (_, index) => ids(index, 1, index))}, plain, 'mounts[0].uidMappings'],
	[{propagation: 2}, mapped, 'mounts[0]'],
] as const) {
	test(`a volume with ${JSON.stringify(changes).slice(0, 200)} is refused in a pod ${sandbox.userNamespace === null ? 'without' : 'with'} a user namespace`, t => {
		const thrown = t.throws(() => validateContainerConfig(mount(changes as never), {...sandbox, privileged: true}), {instanceOf: InvalidArgumentError});
		t.is(thrown.details['field'], field);
	});
}

test("volumes are id-mapped as asked, and the group of terminals is the pod's", t => {
	const hierarchies = detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n');
	const find = (config: ContainerConfig__Output, target: string, sandbox: typeof plain = mapped) =>
		toMounts({config, sandbox, hierarchies, volumes: new Map(), cdi: []}).find(found => found.target === target);
	t.notThrows(() => validateContainerConfig(mount(mappings), mapped));
	t.like(find(mount(mappings), '/data'), {kind: 'bind', idMapped: true, idMaps: null});
	const own = {uids: [{inside: 0, outside: 100_000, count: 65_536}], gids: [{inside: 0, outside: 200_000, count: 65_536}]};
	t.notThrows(() => validateContainerConfig(mount(mappings), {...plain, privileged: true}));
	t.like(find(mount(mappings), '/data', plain), {kind: 'bind', idMapped: false, idMaps: own});
	const other = {...mappings, uidMappings: [ids(7, 1, 5), ids(100_000, 5, 0)]};
	t.notThrows(() => validateContainerConfig(mount(other), mapped));
	t.like(find(mount(other), '/data'), {
		idMapped: false,
		idMaps: {
			...own,
			uids: [
				{inside: 5, outside: 7, count: 1},
				{inside: 0, outside: 100_000, count: 5},
			],
		},
	});
	t.like(find(mount({}), '/data'), {kind: 'bind', idMapped: false});
	t.like(find(mount({}), '/etc/hosts'), {kind: 'bind', idMapped: false});
	t.like(find(mount({}), '/dev/pts'), {data: 'newinstance,ptmxmode=0666,mode=0620,gid=200005'});
	const few = {...mapped, userNamespace: {...userNamespace, gids: {first: 200_000, count: 5}}};
	t.like(find(mount({}), '/dev/pts', few), {data: 'newinstance,ptmxmode=0666,mode=0620'});
});

test('what the kernel refuses is said in words of the request', t => {
	const volume = explain(new SyscallError('id-map volume', 22, '/srv/nfs'));
	t.true(volume instanceof UnimplementedError && volume.message.includes('"/srv/nfs"'));
	t.true(explain(new SyscallError('set user', 22, '')) instanceof InvalidArgumentError);
	for (const other of [new SyscallError('set user', 11, ''), new SyscallError('mount proc', 22, '/proc'), new Error('x')]) t.is(explain(other), other);
});

test("the devices that every container has are its root's; those of the node keep their owner", t => {
	const disk = {path: '/dev/sda', type: 'b', major: 8, minor: 0, mode: 0o660, uid: 0, gid: 6} as const;
	const decoy = {...DEFAULT_DEVICES[0]!, type: 'b'} as const;
	const owned = toOwnedSpecs([...DEFAULT_DEVICES.slice(1), disk, decoy], userNamespace);
	t.deepEqual(owned.slice(-2), [disk, decoy]);
	t.true(owned.slice(0, -2).every(({uid, gid}) => uid === 100_000 && gid === 200_000));
	t.deepEqual(toOwnedSpecs([disk], null), [disk]);
});
