import test from 'ava';
import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import {detectCgroups} from '../cgroup/hierarchies.js';
import {sandboxRecord} from '../fake-records.js';
import {containerConfig, sandboxConfig} from '../fake-runtime.js';
import {podSecurity, security} from './fake-config.js';
import {validateContainerConfig} from './container-config.js';
import {toMonitorRequest, toSandboxFacts, validateSandboxConfig} from './sandbox-config.js';
import {toSeccompChoice, toSecurityLabels} from './security-profile.js';
import {toSysctls} from './sysctls.js';

const pod = sandboxRecord('s1');
const selinux_options = {user: '', role: '', type: '', level: 's0:c1'};
const POD = 0;
const CONTAINER = 1;
const NODE = 2;
const TARGET = 3;
const namespaces = (changes: object): object => ({namespace_options: {network: POD, pid: POD, ipc: POD, target_id: '', userns_options: null, ...changes}});

test('configs that ask for little pass', t => {
	t.notThrows(() => validateSandboxConfig(sandboxConfig()));
	t.notThrows(() => validateContainerConfig(containerConfig(), pod));
	t.notThrows(() => validateContainerConfig(containerConfig(security({})), pod));
});

for (const [changes, message] of [
	[{metadata: null}, 'metadata.name is empty'],
	[{metadata: {name: 'a', namespace: '', uid: 'u', attempt: 0}}, 'metadata.namespace is empty'],
	[{metadata: {name: 'a', namespace: 'n', uid: '', attempt: 0}}, 'metadata.uid is empty'],
	[{hostname: 'x'.repeat(65)}, `hostname "${'x'.repeat(65)}" is longer than 64`],
	[{hostname: 'a b'}, 'hostname "a b" has signs other than letters, digits, "-", "." and "_"'],
	[{log_directory: 'var/log'}, 'log_directory "var/log" is not an absolute path without ".."'],
	[{log_directory: '/var/../etc'}, 'log_directory "/var/../etc" is not an absolute path without ".."'],
	[{dns_config: {servers: ['ns.example'], searches: [], options: []}}, 'dns_config.servers: "ns.example" is not an IP address'],
	[{dns_config: {servers: [], searches: ['a\nnameserver 1.1.1.1'], options: []}}, 'dns_config.searches: "a\nnameserver 1.1.1.1" is empty or holds a blank'],
	[{dns_config: {servers: [], searches: [], options: ['']}}, 'dns_config.options: "" is empty or holds a blank'],
	[{port_mappings: [{protocol: 9, container_port: 1, host_port: 1, host_ip: ''}]}, 'port_mappings[0].protocol 9 is unknown'],
	[{port_mappings: [{protocol: 0, container_port: 80, host_port: 65_536, host_ip: ''}]}, 'port_mappings[0].host_port 65536 is not in 0..65535'],
	[{port_mappings: [{protocol: 0, container_port: 0, host_port: 80, host_ip: ''}]}, 'port_mappings[0].container_port 0 is not in 1..65535'],
	[{port_mappings: [{protocol: 0, container_port: 80, host_port: 80, host_ip: 'here'}]}, 'port_mappings[0].host_ip "here" is not an IP address'],
	[{windows: {}}, 'windows is set on a Linux node'],
	[podSecurity(namespaces({network: CONTAINER})), 'namespace_options.network: only POD and NODE are known'],
	[podSecurity(namespaces({ipc: TARGET})), 'namespace_options.ipc: only POD and NODE are known'],
	[podSecurity(namespaces({pid: TARGET})), 'namespace_options.pid: TARGET is for containers only'],
	[podSecurity({run_as_group: {value: '1'}}), 'security_context.run_as_group is set without run_as_user'],
	[podSecurity({seccomp: {profile_type: 2, localhost_ref: ''}}), 'security_context.seccomp: Localhost needs localhost_ref'],
	[podSecurity({}, {sysctls: {'vm.swappiness': '1'}}), 'sysctls: "vm.swappiness" is not namespaced: it would change the host'],
	[podSecurity(namespaces({network: NODE}), {sysctls: {'net.core.somaxconn': '1'}}), 'sysctls: "net.core.somaxconn" needs the pod\'s own network namespace'],
] as const) {
	test(`pod sandbox is refused: ${message.slice(0, 90).replaceAll('\n', '\\n')}`, t => {
		t.throws(() => validateSandboxConfig(sandboxConfig(changes as never)), {instanceOf: InvalidArgumentError, message});
	});
}

test('a container port without a host port passes, and so do IPv6 servers with a zone', t => {
	t.notThrows(() =>
		validateSandboxConfig(
			sandboxConfig({
				port_mappings: [{protocol: 0, container_port: 80, host_port: 0, host_ip: ''}],
				dns_config: {servers: ['fe80::1%eth0'], searches: ['.'], options: ['ndots:5']},
			}),
		),
	);
});

const own = {network: true, ipc: true};
for (const [name, dotted] of [
	['net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ip_unprivileged_port_start'],
	['net/ipv4/conf/eth0.1/rp_filter', 'net.ipv4.conf.eth0/1.rp_filter'],
	['kernel.shm_rmid_forced', 'kernel.shm_rmid_forced'],
	['kernel/msgmax', 'kernel.msgmax'],
	['kernel.sem', 'kernel.sem'],
	['fs.mqueue.msg_max', 'fs.mqueue.msg_max'],
] as const) {
	test(`the sysctl ${name} is the pod's own`, t => t.deepEqual(toSysctls({[name]: '1'}, own), [[dotted, '1']]));
}

for (const [name, changes, message] of [
	['kernel.hostname', {}, /is not namespaced/],
	['kernel.semaphore', {}, /is not namespaced/],
	['fs.file-max', {}, /is not namespaced/],
	['network', {}, /is not namespaced/],
	['net..ipv4', {}, /is malformed/],
	['net/../kernel/panic', {}, /is malformed|is not namespaced/],
	['net.', {}, /is malformed/],
	['kernel.shmmax', {ipc: false}, /needs the pod's own IPC namespace/],
	['net.core.somaxconn', {network: false}, /needs the pod's own network namespace/],
] as const) {
	test(`the sysctl ${name} is refused with ${JSON.stringify(changes)}`, t => {
		t.throws(() => toSysctls({[name]: '1'}, {...own, ...changes}), {instanceOf: InvalidArgumentError, message});
	});
}

const NAMING = {identity: 'berth', cgroupDriver: 'cgroupfs'} as const;

test('a monitor gets the namespaces that the pod does not share with the node', t => {
	const hierarchies = detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n');
	const request = (changes: object) =>
		toMonitorRequest(
			{
				...pod,
				hostname: 'web',
				cgroupParent: '/p',
				namespaces: {network: 'pod', pid: 'pod', ipc: 'pod', targetId: '', ...changes},
				config: {...pod.config, sysctls: {}},
			},
			{hierarchies, shmSizeBytes: 64 << 20, selinux: false, naming: NAMING},
		);
	t.like(request({}), {
		sandboxId: pod.id,
		namespaces: {network: true, ipc: true, uts: true, pid: true},
		hostname: 'web',
		shmSizeBytes: 67_108_864,
		cgroup: {dirs: ['/c/p'], join: []},
	});
	t.like(request({network: 'node', pid: 'container'}), {namespaces: {network: false, ipc: true, uts: false, pid: false}, hostname: null});
	t.like(request({ipc: 'node', pid: 'node'}), {namespaces: {network: true, ipc: false, uts: true, pid: false}, shmSizeBytes: null});
});

test('toSandboxFacts keeps what status shows', t => {
	t.deepEqual(toSandboxFacts(sandboxConfig()), {dns: null, sysctls: {}, overhead: null, resources: null, mountLabel: null});
	const dns = {servers: ['1.1.1.1'], searches: ['a'], options: ['b']};
	t.deepEqual(toSandboxFacts(sandboxConfig({dns_config: dns, ...podSecurity({}, {sysctls: {'net.a': '1'}})})), {
		dns,
		sysctls: {'net.a': '1'},
		overhead: null,
		resources: null,
		mountLabel: null,
	});
	const labelled = sandboxConfig(podSecurity({selinux_options}));
	const mountLabel = 'system_u:object_r:container_file_t:s0:c1';
	t.is(toSandboxFacts(labelled).mountLabel, mountLabel);
	const place = {hierarchies: detectCgroups('30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n'), shmSizeBytes: 1, naming: NAMING};
	for (const selinux of [true, false])
		t.is(toMonitorRequest({...pod, config: toSandboxFacts(labelled)}, {...place, selinux}).mountLabel, selinux ? mountLabel : null);
});

const containerPid = {...pod, namespaces: {...pod.namespaces, pid: 'container'}} as const;
const podPid = {...pod, namespaces: {...pod.namespaces, network: 'pod', ipc: 'pod', pid: 'pod'}} as const;
for (const [changes, sandbox, message] of [
	[{metadata: null}, pod, 'metadata.name is empty'],
	[{image: null}, pod, 'image.image is empty'],
	[{windows: {}}, pod, 'windows is set on a Linux node'],
	[{log_path: '../x.log'}, pod, 'log_path "../x.log" leads out of log_directory'],
	[{stop_signal: 99}, pod, 'stop_signal "99" is no signal'],
	[{devices: [{container_path: '', host_path: 'dev/x', permissions: ''}]}, pod, 'devices[0].host_path "dev/x" is not an absolute path'],
	[{devices: [{container_path: '/dev/../x', host_path: '/dev/x', permissions: ''}]}, pod, 'devices[0].container_path "/dev/../x" is not an absolute path'],
	[{devices: [{container_path: '', host_path: '/dev/x', permissions: 'rx'}]}, pod, 'devices[0].permissions "rx" is not made of r, w and m'],
	[{devices: [{container_path: '', host_path: '/dev/x', permissions: 'rr'}]}, pod, 'devices[0].permissions "rr" is not made of r, w and m'],
	[security({privileged: true}), {...pod, privileged: false}, 'security_context.privileged: the pod sandbox is not privileged'],
	[
		security({capabilities: {add_capabilities: ['NOPE'], drop_capabilities: [], add_ambient_capabilities: []}}),
		pod,
		'add_capabilities: no capability is named "NOPE"',
	],
	[security({masked_paths: ['proc']}), pod, 'security_context.masked_paths: "proc" is not an absolute path'],
	[security({seccomp_profile_path: 'nope'}), pod, 'security_context.seccomp: "nope" is neither unconfined, runtime/default nor localhost/…'],
	[security({seccomp: {profile_type: 2, localhost_ref: 'rel.json'}}), pod, 'security_context.seccomp: localhost_ref "rel.json" is not an absolute path'],
	[security({seccomp: {profile_type: 0, localhost_ref: '/x'}}), pod, 'security_context.seccomp: localhost_ref is only for Localhost'],
	[security(namespaces({network: NODE})), podPid, 'namespace_options.network: NODE, but the pod sandbox has its own'],
	[security(namespaces({ipc: NODE})), podPid, 'namespace_options.ipc: NODE, but the pod sandbox has its own'],
	[security(namespaces({ipc: CONTAINER})), podPid, 'namespace_options.ipc: only POD and NODE are known'],
	[security(namespaces({pid: NODE})), podPid, "namespace_options.pid: NODE, but the pod sandbox does not share the node's"],
	[security(namespaces({pid: POD})), containerPid, 'namespace_options.pid: POD, but the pod sandbox was made with CONTAINER'],
	[security(namespaces({pid: TARGET})), podPid, 'namespace_options.target_id: TARGET needs the id of a container'],
	[
		{
			linux: {
				resources: {
					cpu_period: '1',
					cpu_quota: '0',
					cpu_shares: '0',
					memory_limit_in_bytes: '0',
					oom_score_adj: '0',
					cpuset_cpus: '',
					cpuset_mems: '',
					hugepage_limits: [],
					unified: {},
					memory_swap_limit_in_bytes: '0',
				},
				security_context: null,
			},
		},
		pod,
		'cpu_period 1 µs is not in 1000..1000000',
	],
] as const) {
	test(`container is refused: ${message}`, t => {
		t.throws(() => validateContainerConfig(containerConfig(changes as never), sandbox as typeof pod), {instanceOf: InvalidArgumentError, message});
	});
}

for (const [changes, choice] of [
	[{}, {kind: 'unconfined'}],
	[{seccomp: {profile_type: 0, localhost_ref: ''}}, {kind: 'default'}],
	[{seccomp: {profile_type: 1, localhost_ref: ''}, seccomp_profile_path: 'runtime/default'}, {kind: 'unconfined'}],
	[{seccomp: {profile_type: 2, localhost_ref: '/p.json'}}, {kind: 'localhost', ref: '/p.json'}],
	[{seccomp_profile_path: 'runtime/default'}, {kind: 'default'}],
	[{seccomp_profile_path: 'unconfined'}, {kind: 'unconfined'}],
	[{seccomp_profile_path: 'localhost//p.json'}, {kind: 'localhost', ref: '/p.json'}],
	[{seccomp: {profile_type: 0, localhost_ref: ''}, privileged: true}, {kind: 'unconfined'}],
] as const) {
	test(`seccomp of ${JSON.stringify(changes)} is ${choice.kind}`, t => t.deepEqual(toSeccompChoice(containerConfig(security(changes))), choice));
}

const without = {apparmor: false, selinux: false};
const withBoth = {apparmor: true, selinux: true};
const NONE = {apparmorProfile: null, selinuxLabel: null, mountLabel: null};
const named = {apparmor: {profile_type: 2, localhost_ref: 'mine'}};
for (const [changes, host, byDefault, expected] of [
	[{}, withBoth, '', NONE],
	[{}, withBoth, 'berth', {...NONE, apparmorProfile: 'berth'}],
	[{}, without, 'berth', NONE],
	[{apparmor: {profile_type: 0, localhost_ref: ''}}, without, 'berth', NONE],
	[{apparmor: {profile_type: 0, localhost_ref: ''}}, withBoth, 'berth', {...NONE, apparmorProfile: 'berth'}],
	[{apparmor: {profile_type: 0, localhost_ref: ''}, privileged: true}, withBoth, 'berth', NONE],
	[{apparmor: {profile_type: 0, localhost_ref: ''}}, withBoth, '', UnimplementedError],
	[{apparmor: {profile_type: 1, localhost_ref: ''}}, withBoth, 'berth', NONE],
	[named, withBoth, '', {...NONE, apparmorProfile: 'mine'}],
	[{...named, privileged: true}, withBoth, '', {...NONE, apparmorProfile: 'mine'}],
	[{apparmor: {profile_type: 2, localhost_ref: 'localhost/mine'}}, withBoth, '', {...NONE, apparmorProfile: 'mine'}],
	[{apparmor_profile: 'localhost/mine'}, withBoth, '', {...NONE, apparmorProfile: 'mine'}],
	[{apparmor_profile: 'unconfined'}, withBoth, 'berth', NONE],
	[named, without, '', InvalidArgumentError],
	[{...named, privileged: true}, without, '', InvalidArgumentError],
	[{apparmor_profile: 'localhost/mine'}, without, '', InvalidArgumentError],
	[{selinux_options}, without, '', NONE],
	[
		{selinux_options},
		withBoth,
		'',
		{apparmorProfile: null, selinuxLabel: 'system_u:system_r:container_t:s0:c1', mountLabel: 'system_u:object_r:container_file_t:s0:c1'},
	],
	[{selinux_options, privileged: true}, withBoth, '', NONE],
] as const) {
	const what = typeof expected === 'function' ? expected.name : JSON.stringify(expected);
	test(`${JSON.stringify(changes)} on a kernel with ${JSON.stringify(host)} and the default profile "${byDefault}" is ${what}`, t => {
		const run = () => toSecurityLabels(containerConfig(security(changes)), host, {apparmorProfile: byDefault});
		if (typeof expected === 'function') t.throws(run, {instanceOf: expected as never});
		else t.deepEqual(run(), expected);
	});
}
