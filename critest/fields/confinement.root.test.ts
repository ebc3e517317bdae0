import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {LinuxContainerSecurityContext} from '../../proto/cri.js';
import {createContainer, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {podLinux, says, toFacts, useFields, withSecurity, type FieldRig} from './rig.js';

const fields = useFields(test);
/** CRI v1: SecurityProfile.ProfileType. */
const PROFILE = {DEFAULT: 0, UNCONFINED: 1, LOCALHOST: 2} as const;

async function writeProfile(rig: FieldRig, name: string, profile: object | string): Promise<string> {
	const dir = join(rig.daemon.places.scratchDir, 'seccomp');
	await mkdir(dir, {recursive: true});
	await writeFile(join(dir, name), typeof profile === 'string' ? profile : JSON.stringify(profile));
	return join(dir, name);
}
const noMkdir = (action: string): object => ({defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{names: ['mkdir', 'mkdirat'], action, errnoRet: 38}]});

fields('seccomp: the default, a profile of the node, none, in the new form and the old; of an exec too', async (t, rig) => {
	const pod = await rig.pod('seccomp');
	const path = await writeProfile(rig, 'no-mkdir.json', noMkdir('SCMP_ACT_ERRNO'));
	const script = [
		'echo mode=$(grep ^Seccomp: /proc/self/status | cut -f2)',
		says('mkdir', 'mkdir /tmp/x$$'),
		says('personality', 'setarch linux64 -R true'),
	].join('\n');
	const confined = async (security: LinuxContainerSecurityContext) => {
		const container = await rig.start(pod, withSecurity(security));
		return toFacts(await rig.exec(container, script));
	};
	const byDefault = {mode: '2', mkdir: 'yes', personality: 'no'};
	const byProfile = {mode: '2', mkdir: 'no', personality: 'yes'};
	const free = {mode: '0', mkdir: 'yes', personality: 'yes'};
	t.deepEqual(await confined({seccomp: {profile_type: PROFILE.DEFAULT}}), byDefault);
	t.deepEqual(await confined({seccomp_profile_path: 'runtime/default'}), byDefault);
	t.deepEqual(await confined({seccomp: {profile_type: PROFILE.LOCALHOST, localhost_ref: path}}), byProfile);
	t.deepEqual(await confined({seccomp_profile_path: `localhost/${path}`}), byProfile);
	t.deepEqual(await confined({seccomp: {profile_type: PROFILE.UNCONFINED}}), free);
	t.deepEqual(await confined({seccomp_profile_path: 'unconfined'}), free);
	t.deepEqual(await confined({}), free);
	await rig.remove(pod);
});

fields('a seccomp profile that cannot be is refused by file and place, of a container and of a pod', async (t, rig) => {
	const pod = await rig.pod('refused');
	const refused = async (security: LinuxContainerSecurityContext, code: number, says_: RegExp): Promise<void> =>
		await assertRefused(t, code, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], withSecurity(security))));
	const localhost = (localhost_ref: string) => ({seccomp: {profile_type: PROFILE.LOCALHOST, localhost_ref}});
	const {INVALID_ARGUMENT, UNIMPLEMENTED} = status;
	await refused(localhost(await writeProfile(rig, 'torn.json', '{"defaultAction":')), INVALID_ARGUMENT, /torn\.json is not JSON/);
	await refused(localhost(await writeProfile(rig, 'wrong.json', {defaultAction: 'ALLOW'})), INVALID_ARGUMENT, /wrong\.json: defaultAction/);
	await refused(localhost(await writeProfile(rig, 'notify.json', noMkdir('SCMP_ACT_NOTIFY'))), UNIMPLEMENTED, /notify\.json: SCMP_ACT_NOTIFY/);
	await refused(localhost('/not/there.json'), INVALID_ARGUMENT, /\/not\/there\.json cannot be read/);
	await refused(localhost('relative.json'), INVALID_ARGUMENT, /localhost_ref "relative\.json" is not an absolute path/);
	await refused(localhost(''), INVALID_ARGUMENT, /Localhost needs localhost_ref/);
	await refused({seccomp: {profile_type: PROFILE.DEFAULT, localhost_ref: '/x'}}, INVALID_ARGUMENT, /localhost_ref is only for Localhost/);
	await refused({seccomp_profile_path: 'sometimes'}, INVALID_ARGUMENT, /"sometimes" is neither/);
	for (const field of ['seccomp', 'apparmor'] as const)
		await assertRefused(
			t,
			INVALID_ARGUMENT,
			new RegExp(`security_context\\.${field}: Localhost needs localhost_ref`),
			rig.pod('bad', podLinux({[field]: {profile_type: PROFILE.LOCALHOST}})),
		);
	await assertRefused(t, INVALID_ARGUMENT, /"sometimes" is neither/, rig.pod('bad', podLinux({seccomp_profile_path: 'sometimes'})));
	await rig.remove(pod);
});

fields('masked paths are empty, read-only paths are read-only with what lies below, and the root with readonly_rootfs', async (t, rig) => {
	const dir = join(rig.daemon.places.scratchDir, 'volume');
	await mkdir(dir, {recursive: true});
	const pod = await rig.pod('covered');
	const script = [
		'echo file=$(wc -c < /etc/passwd)',
		'echo directory=$(ls /usr/sbin | wc -l)',
		says('masked_write', 'touch /usr/sbin/x'),
		says('sysctl', 'echo 0 > /proc/sys/net/ipv4/ip_forward'),
		says('readonly_below', 'touch /var/log/x'),
		says('root', 'touch /x'),
		says('volume', 'touch /volume/x'),
		says('shm', 'touch /dev/shm/x'),
		says('tty', 'echo > /dev/null'),
	].join('\n');
	const mounts = [{host_path: dir, container_path: '/volume'}];
	const covered = {masked_paths: ['/etc/passwd', '/usr/sbin', '/not/there'], readonly_paths: ['/proc/sys', '/var', '/neither/there']};
	t.deepEqual(toFacts(await rig.run(pod, script, {mounts, ...withSecurity({...covered, readonly_rootfs: true})})), {
		file: '0',
		directory: '0',
		masked_write: 'no',
		sysctl: 'no',
		readonly_below: 'no',
		root: 'no',
		volume: 'yes',
		shm: 'yes',
		tty: 'yes',
	});
	const open = toFacts(await rig.run(pod, script, {mounts, ...withSecurity({})}));
	t.like(open, {masked_write: 'yes', readonly_below: 'yes', root: 'yes'});
	t.not(open['file'], '0');
	const byDefault = await rig.run(pod, `cat /proc/timer_list | wc -c; ${says('sysctl', 'echo 0 > /proc/sys/net/ipv4/ip_forward')}`);
	t.deepEqual(byDefault, ['0', 'sysctl=no'], 'without a security context the defaults are covered');
	for (const field of ['masked_paths', 'readonly_paths'] as const)
		await assertRefused(
			t,
			status.INVALID_ARGUMENT,
			new RegExp(`security_context\\.${field}: "proc" is not an absolute path`),
			createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], withSecurity({[field]: ['proc']}))),
		);
	await rig.remove(pod);
});

fields(
	'AppArmor and SELinux: on a kernel without them a profile by name is refused, the default and labels are passed over; malformed ones are refused anywhere',
	async (t, rig) => {
		const lsm = await readFile('/sys/kernel/security/lsm', 'utf8').catch(() => '');
		const pod = await rig.pod('modules', podLinux({selinux_options: {level: 's0:c1,c2'}}));
		const create = async (security: LinuxContainerSecurityContext): Promise<string> =>
			await createContainer(rig.cri, pod, toContainerConfig('c', ['true'], withSecurity(security)));
		const {INVALID_ARGUMENT} = status;
		const named = [{apparmor: {profile_type: PROFILE.LOCALHOST, localhost_ref: 'berth-no-such'}}, {apparmor_profile: 'localhost/berth-no-such'}];
		for (const security of named)
			await assertRefused(
				t,
				INVALID_ARGUMENT,
				lsm.includes('apparmor') ? /not loaded/ : /"berth-no-such" is asked for, but this kernel has no AppArmor/,
				create(security),
			);
		await assertRefused(t, INVALID_ARGUMENT, /security_context\.apparmor: "often" is neither/, create({apparmor_profile: 'often'}));
		await assertRefused(t, INVALID_ARGUMENT, /security_context\.selinux_options\.type "a b" is malformed/, create({selinux_options: {type: 'a b'}}));
		for (const part of ['user', 'role', 'level'] as const)
			await assertRefused(t, INVALID_ARGUMENT, new RegExp(`selinux_options\\.${part}`), rig.pod('bad', podLinux({selinux_options: {[part]: 'a b'}})));
		if (!/apparmor|selinux/.test(lsm)) {
			const taken: LinuxContainerSecurityContext = {
				apparmor: {profile_type: PROFILE.DEFAULT},
				selinux_options: {user: 'u', role: 'r', type: 'container_t', level: 's0:c1,c2'},
			};
			t.deepEqual(await rig.run(pod, 'echo ran', withSecurity(taken)), ['ran']);
		}
		await rig.remove(pod);
	},
);
