import test from 'ava';
import {constants} from 'node:os';
import {ContainerState, NamespaceMode, PodSandboxState, Signal} from '../../proto/cri.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import {FAKE_IMAGE} from '../../runtime/fake-parts.js';
import {containerRecord, sandboxRecord} from '../../runtime/fake-records.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import {toContainer, toContainerStatus} from './container.js';
import {toContainerFilter, toSandboxFilter} from './filter.js';
import {toImage} from './image.js';
import {toContainerInfo, toSandboxInfo} from './info.js';
import {toPodSandbox, toPodSandboxStatus} from './sandbox.js';
import {toSignal} from './stop-signal.js';

const sandbox = sandboxRecord('web');
const container = containerRecord('main', sandbox);

test('toPodSandbox is made once per record, anew for a changed one', t => {
	t.is(toPodSandbox(sandbox), toPodSandbox(sandbox));
	const stopping: SandboxRecord = {...sandbox, state: {phase: 'stopping'}};
	t.is(toPodSandbox(sandbox).state, PodSandboxState.SANDBOX_READY);
	t.is(toPodSandbox(stopping).state, PodSandboxState.SANDBOX_NOTREADY);
	t.is(toPodSandbox({...sandbox, state: {phase: 'notReady', reason: 'x'}}).state, PodSandboxState.SANDBOX_NOTREADY);
});

test('toPodSandboxStatus has all addresses of a ready sandbox, none of a stopped one', t => {
	const ready: SandboxRecord = {...sandbox, ips: ['10.1.2.3', 'fd00::3'], namespaces: {network: 'pod', pid: 'container', ipc: 'node', targetId: ''}};
	t.deepEqual(toPodSandboxStatus(ready).network, {ip: '10.1.2.3', additional_ips: [{ip: 'fd00::3'}]});
	t.like(toPodSandboxStatus(ready).linux?.namespaces?.options, {network: NamespaceMode.POD, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.NODE});
	t.deepEqual(toPodSandboxStatus({...ready, state: {phase: 'notReady', reason: ''}}).network, {ip: '', additional_ips: []});
	t.is(toPodSandboxStatus(ready).created_at, '1');
});

const userNamespace = {uids: {first: 100_000, count: 65_536}, gids: {first: 200_000, count: 1000}};
const uids = [{host_id: 100_000, container_id: 0, length: 65_536}];
const gids = [{host_id: 200_000, container_id: 0, length: 1000}];

test('the user namespace of a pod sandbox and the mapping of a volume are shown as they were asked for', t => {
	t.is(toPodSandboxStatus(sandbox).linux?.namespaces?.options?.userns_options, null);
	t.deepEqual(toPodSandboxStatus({...sandbox, userNamespace}).linux?.namespaces?.options?.userns_options, {mode: NamespaceMode.POD, uids, gids});
	const mount = {
		containerPath: '/data',
		hostPath: '/srv',
		readonly: false,
		selinuxRelabel: false,
		propagation: 0,
		recursiveReadOnly: false,
		mountOptions: [],
	} as const;
	const status = toContainerStatus({...container, mounts: [{...mount, idMapping: userNamespace}, mount]}, null);
	t.deepEqual(
		status.mounts?.map(({uidMappings, gidMappings}) => [uidMappings, gidMappings]),
		[
			[uids, gids],
			[undefined, undefined],
		],
	);
});

for (const [state, shown] of [
	[{phase: 'created'}, {state: ContainerState.CONTAINER_CREATED, started_at: '0', finished_at: '0', exit_code: 0, reason: ''}],
	[
		{phase: 'running', startedAtNs: 1_795_000_000_123_456_789n},
		{state: ContainerState.CONTAINER_RUNNING, started_at: '1795000000123456789', finished_at: '0', reason: ''},
	],
	[
		{phase: 'exited', startedAtNs: 5n, finishedAtNs: 9n, exitCode: 137, reason: 'OOMKilled', message: 'm'},
		{state: ContainerState.CONTAINER_EXITED, started_at: '5', finished_at: '9', exit_code: 137, reason: 'OOMKilled', message: 'm'},
	],
] as const) {
	test(`toContainerStatus of a container that is ${state.phase}`, t => {
		const record: ContainerRecord = {...container, state};
		t.like(toContainerStatus(record, null), shown);
		t.is(toContainer(record).state, shown.state);
	});
}

test('toContainerStatus has user, mounts as asked, resources, stop signal and log path', t => {
	const mount = {
		containerPath: '/data',
		hostPath: '/srv',
		readonly: true,
		selinuxRelabel: false,
		propagation: 2,
		recursiveReadOnly: false,
		mountOptions: ['noexec'],
	} as const;
	const status = toContainerStatus(
		{
			...container,
			mounts: [mount],
			logPath: '/var/log/a.log',
			user: {uid: 1000, gid: 50, supplementalGids: [7, 8]},
			stopSignal: constants.signals.SIGQUIT,
			resources: {
				...container.resources,
				memoryLimitBytes: 9_007_199_254_740_993n,
				oomScoreAdj: -5,
				hugepageLimits: [{pageSize: '2MB', limitBytes: 4n}],
				unified: {'memory.high': '1'},
			},
		},
		null,
	);
	t.like(status, {
		log_path: '/var/log/a.log',
		user: {linux: {uid: 1000, gid: 50, supplemental_groups: [7, 8]}},
		stop_signal: Signal.SIGNAL_SIGQUIT,
		resources: {
			linux: {memory_limit_in_bytes: '9007199254740993', oom_score_adj: -5, hugepage_limits: [{page_size: '2MB', limit: '4'}], unified: {'memory.high': '1'}},
		},
	});
	t.deepEqual(status.mounts, [
		{container_path: '/data', host_path: '/srv', readonly: true, selinux_relabel: false, propagation: 2, recursive_read_only: false, mount_options: ['noexec']},
	]);
});

for (const [what, asked, userSpecified, tags, shown] of [
	['the tag that the user wrote', 'sha256:ab', 'busybox:1', ['docker.io/library/a:1', 'docker.io/library/busybox:1'], 'docker.io/library/busybox:1'],
	['the tag asked for', 'quay.io/b:2', '', ['docker.io/library/a:1', 'quay.io/b:2'], 'quay.io/b:2'],
	['the first tag of an image asked for by id', 'sha256:ab', '', ['docker.io/library/a:1', 'quay.io/b:2'], 'docker.io/library/a:1'],
	['what was asked for when the image has no name', 'sha256:ab', '', [], 'sha256:ab'],
] as const) {
	test(`toContainerStatus names the image by ${what}`, t => {
		const record: ContainerRecord = {...container, image: {asked, userSpecified, id: FAKE_IMAGE.id}};
		const status = toContainerStatus(record, {...FAKE_IMAGE, repoTags: tags});
		t.like(status, {image: {image: shown, user_specified_image: userSpecified}, image_ref: FAKE_IMAGE.id, image_id: FAKE_IMAGE.id});
	});
}

for (const [user, shown] of [
	['', {uid: null, username: ''}],
	['1002', {uid: {value: '1002'}, username: ''}],
	['1003:1004', {uid: {value: '1003'}, username: ''}],
	['www-data', {uid: null, username: 'www-data'}],
	['www-data:1004', {uid: null, username: 'www-data'}],
] as const) {
	test(`toImage takes USER "${user}" apart`, t =>
		void t.like(toImage({...FAKE_IMAGE, config: {...FAKE_IMAGE.config, user}}), {...shown, id: FAKE_IMAGE.id, size: '1000'}));
}

for (const [number, signal] of [
	[15, Signal.SIGNAL_SIGTERM],
	[6, Signal.SIGNAL_SIGABRT],
	[34, Signal.SIGNAL_SIGRTMIN],
	[37, Signal.SIGNAL_SIGRTMINPLUS3],
	[49, Signal.SIGNAL_SIGRTMINPLUS15],
	[50, Signal.SIGNAL_SIGRTMAXMINUS14],
	[64, Signal.SIGNAL_SIGRTMAX],
	[32, Signal.SIGNAL_RUNTIME_DEFAULT],
] as const) {
	test(`toSignal(${number}) is ${signal}`, t => t.is(toSignal(number), signal));
}

test('filters: nothing given fits all; CONTAINER_UNKNOWN fits nothing', t => {
	t.deepEqual(toSandboxFilter(null), {id: '', state: null, labels: {}});
	t.deepEqual(toSandboxFilter({id: 'a', state: {state: PodSandboxState.SANDBOX_NOTREADY}, label_selector: {b: 'c'}}), {
		id: 'a',
		state: 'notReady',
		labels: {b: 'c'},
	});
	t.deepEqual(toContainerFilter(null), {id: '', sandboxId: '', state: null, labels: {}});
	t.deepEqual(toContainerFilter({id: '', pod_sandbox_id: 's', state: {state: ContainerState.CONTAINER_CREATED}, label_selector: {}}), {
		id: '',
		sandboxId: 's',
		state: 'created',
		labels: {},
	});
	t.is(toContainerFilter({id: '', pod_sandbox_id: '', state: {state: ContainerState.CONTAINER_UNKNOWN}, label_selector: {}}), null);
});

test('the verbose info of a container has its pid and no environment', t => {
	const {info} = toContainerInfo({
		...container,
		pid: 77,
		state: {phase: 'running', startedAtNs: 1n},
		exec: {...container.exec, envBase64: [Buffer.from('TOKEN=secret').toString('base64')]},
	});
	t.like(JSON.parse(info), {pid: 77, sandboxID: sandbox.id});
	t.false(info.includes(Buffer.from('TOKEN=secret').toString('base64')));
	t.is((JSON.parse(toSandboxInfo(sandbox, 100).info) as {pid: number}).pid, 100);
	t.is((JSON.parse(toSandboxInfo(sandbox, null).info) as {pid: number}).pid, 0);
});
