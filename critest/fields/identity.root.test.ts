import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {Capability, LinuxContainerSecurityContext} from '../../proto/cri.js';
import {createContainer, statusOf, toContainerConfig, type Pod} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {podLinux, pullOwn, says, toFacts, useFields, withSecurity, type FieldRig} from './rig.js';

const fields = useFields(test);
const MERGE = 0;
const STRICT = 1;
const GROUPS = 'echo groups=$(id -G)';
const id = (value: number) => ({value: String(value)});

const ascending = (numbers: readonly number[]): readonly number[] => numbers.toSorted((a, b) => a - b);

async function effectiveUser(rig: FieldRig, container_id: string): Promise<readonly (number | readonly number[])[]> {
	const {user} = await statusOf(rig.cri, container_id);
	const {uid = 0, gid = 0, supplemental_groups = []} = user?.linux ?? {};
	return [Number(uid), Number(gid), supplemental_groups.map(Number)];
}

fields('users and groups by number and by name, merged with those of the image or strictly as asked; exec is the same; status says who', async (t, rig) => {
	const image = {
		image: await pullOwn(rig, 'users', {User: 'web'}, [
			{type: 'file', path: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n'},
			{type: 'file', path: 'etc/group', content: 'root:x:0:\nweb:x:102:\nmore:x:103:web\n'},
		]),
	};
	const pod = await rig.pod('users');
	const who = async (security: LinuxContainerSecurityContext): Promise<readonly unknown[]> => {
		const container = await rig.start(pod, {image, ...withSecurity(security)});
		const exec = toFacts(await rig.exec(container, `echo uid=$(id -u); echo gid=$(id -g); ${GROUPS}`));
		const [uid, gid, groups] = await effectiveUser(rig, container);
		t.deepEqual([exec['uid'], exec['gid']], [String(uid), String(gid)]);
		t.deepEqual(ascending((exec['groups'] ?? '').split(' ').map(Number)), ascending([...new Set([gid as number, ...(groups as readonly number[])])]));
		return [uid, gid, groups];
	};
	t.deepEqual(await who({}), [101, 102, [102, 103]]);
	t.deepEqual(await who({run_as_username: 'web', supplemental_groups: [5000, 5001]}), [101, 102, [102, 5000, 5001, 103]]);
	t.deepEqual(await who({run_as_user: id(101), run_as_group: id(7), supplemental_groups_policy: MERGE}), [101, 7, [7, 103]]);
	t.deepEqual(await who({run_as_user: id(101), supplemental_groups: [5000], supplemental_groups_policy: STRICT}), [101, 102, [102, 5000]]);
	t.deepEqual(await who({run_as_username: 'web', run_as_group: id(9), supplemental_groups_policy: STRICT}), [101, 9, [9]]);
	t.deepEqual(await who({run_as_user: id(4242)}), [4242, 0, [0]]);
	await rig.remove(pod);
});

fields('users that cannot be are refused by their field', async (t, rig) => {
	const pod = await rig.pod('users');
	const refused = async (security: LinuxContainerSecurityContext, says_: RegExp, code: number = status.INVALID_ARGUMENT): Promise<void> =>
		await assertRefused(t, code, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], withSecurity(security))));
	await refused({run_as_group: id(5)}, /run_as_group is set without run_as_user/);
	await refused({run_as_user: id(5), run_as_username: 'web'}, /run_as_user and run_as_username are both set/);
	await refused({run_as_user: id(-1)}, /run_as_user -1 is not in/);
	await refused({run_as_user: id(2 ** 31)}, /run_as_user 2147483648 is not in/);
	await refused({supplemental_groups: [-5]}, /supplemental_groups -5 is not in/);
	await refused({run_as_username: 'a:b'}, /run_as_username "a:b" is not a user name/);
	await refused({run_as_username: 'nobody-here'}, /run_as_username "nobody-here"/);
	await refused({run_as_username: 'a\0b'}, /run_as_username/);
	await assertRefused(t, status.INVALID_ARGUMENT, /run_as_group is set without run_as_user/, rig.pod('bad', podLinux({run_as_group: id(5)})));
	await rig.remove(pod);
});

const CHOWN = 0;
const NET_BIND = 10;
const NET_RAW = 13;
const SYS_TIME = 25;
/** Of /proc/self/status: the sets' bits. */
async function capabilitiesOf(
	rig: FieldRig,
	pod: Pod,
	capabilities: Capability,
	more: LinuxContainerSecurityContext = {},
): Promise<Readonly<Record<string, bigint>>> {
	const lines = await rig.run(pod, 'grep ^Cap /proc/self/status', withSecurity({...more, capabilities}));
	return Object.fromEntries(lines.map(line => [line.slice(0, 6), BigInt(`0x${line.split(/\s+/)[1] ?? ''}`)]));
}
const has = (mask: bigint | undefined, bit: number): boolean => (((mask ?? 0n) >> BigInt(bit)) & 1n) === 1n;

fields('capabilities: added, dropped, all, with and without CAP_, and kept by another user as ambient ones', async (t, rig) => {
	const pod = await rig.pod('capabilities', podLinux({privileged: true}));
	const plain = await capabilitiesOf(rig, pod, {});
	t.true(has(plain['CapEff'], CHOWN));
	t.false(has(plain['CapBnd'], SYS_TIME));
	const changed = await capabilitiesOf(rig, pod, {add_capabilities: ['SYS_TIME'], drop_capabilities: ['CAP_CHOWN', 'net_raw']});
	for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
		t.deepEqual(
			[CHOWN, NET_RAW, SYS_TIME].map(bit => has(changed[set], bit)),
			[false, false, true],
			set,
		);
	const one = await capabilitiesOf(rig, pod, {add_capabilities: ['CAP_NET_BIND_SERVICE'], drop_capabilities: ['ALL']});
	t.is(one['CapEff'], 1n << BigInt(NET_BIND));
	t.is(one['CapBnd'], 1n << BigInt(NET_BIND));
	const all = await capabilitiesOf(rig, pod, {add_capabilities: ['ALL'], drop_capabilities: ['SYS_TIME']});
	const privileged = await capabilitiesOf(rig, pod, {}, {privileged: true});
	t.is(all['CapEff'], (privileged['CapEff'] ?? 0n) & ~(1n << BigInt(SYS_TIME)));
	const other = await capabilitiesOf(rig, pod, {add_capabilities: ['NET_BIND_SERVICE']}, {run_as_user: id(1000)});
	t.is(other['CapEff'], 0n, 'another user keeps none');
	const ambient = await capabilitiesOf(
		rig,
		pod,
		{add_ambient_capabilities: ['NET_BIND_SERVICE'], drop_capabilities: ['ALL']},
		{run_as_user: id(1000), no_new_privs: true},
	);
	for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'CapBnd']) t.is(ambient[set], 1n << BigInt(NET_BIND), set);
	for (const [name, field] of [
		['add_capabilities', 'FLY'],
		['drop_capabilities', 'CAP_'],
		['add_ambient_capabilities', ''],
	] as const)
		await assertRefused(
			t,
			status.INVALID_ARGUMENT,
			new RegExp(`${name}: no capability is named "${field}"`),
			createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], withSecurity({capabilities: {[name]: [field]}}))),
		);
	await rig.remove(pod);
});

fields('no_new_privs keeps a setuid program from being more', async (t, rig) => {
	// Its /nnp is setuid root and says as whom it runs.
	const image = {image: 'registry.k8s.io/e2e-test-images/nonewprivs:1.3'};
	await rig.cri.image('PullImage', {image});
	const pod = await rig.pod('setuid');
	const run = async (no_new_privs: boolean): Promise<readonly string[]> =>
		await rig.run(pod, '/nnp', {image, ...withSecurity({run_as_user: id(1000), no_new_privs})});
	t.deepEqual(await run(true), ['Effective uid: 1000']);
	t.deepEqual(await run(false), ['Effective uid: 0']);
	await rig.remove(pod);
});

fields('privileged: all devices, everything writable and uncovered, only in a privileged pod', async (t, rig) => {
	const pod = await rig.pod('privileged', podLinux({privileged: true}));
	const script = [
		says('sys', 'test -w /sys/kernel && ! grep -q " /sys ro" /proc/self/mountinfo'),
		says('kmsg', 'test -c /dev/kmsg'),
		says('mount', 'mkdir -p /mnt && mount -t tmpfs none /mnt'),
		says('proc', 'echo $(cat /proc/sys/vm/overcommit_memory) > /proc/sys/vm/overcommit_memory'),
		'echo seccomp=$(grep ^Seccomp: /proc/self/status | cut -f2)',
	].join('\n');
	const security = {masked_paths: ['/proc/kcore'], readonly_paths: ['/proc/sys'], seccomp: {profile_type: 0}} as const;
	t.deepEqual(toFacts(await rig.run(pod, script, withSecurity({...security, privileged: true} as never))), {
		sys: 'yes',
		kmsg: 'yes',
		mount: 'yes',
		proc: 'yes',
		seccomp: '0',
	});
	t.deepEqual(toFacts(await rig.run(pod, script, withSecurity(security as never))), {sys: 'no', kmsg: 'no', mount: 'no', proc: 'no', seccomp: '2'});
	await rig.remove(pod);
	const plain = await rig.pod('plain');
	const call = createContainer(rig.cri, plain, toContainerConfig('bad', ['true'], withSecurity({privileged: true})));
	await assertRefused(t, status.INVALID_ARGUMENT, /security_context\.privileged: the pod sandbox is not privileged/, call);
	await rig.remove(plain);
});
