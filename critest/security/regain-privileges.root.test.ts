import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {LinuxContainerSecurityContext} from '../../proto/cri.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {HANDLERS, nameOf, RUNTIME} from '../handlers/handlers.js';
import {createContainer, removePod, runContainer, runPodBy} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {assertHeld, hostileConfig, MODE, podWithPid, RUNTIME_DEFAULT, waitForEnd} from './hostile.js';
import {pullHostile} from './sentinel.js';

/** Privileges that a container was not given do not come back: by setuid, file capabilities, ambient sets, user namespaces; nor by an exec. */
const running = useDaemon(test, {runtime: RUNTIME, logLevel: 'warn'});

/** CRI v1: SecurityProfile.ProfileType. */
const LOCALHOST = 2 as const;
/** capabilities(7): bits of what CRI-O and containerd give when nothing is said, and of one more. */
const USUAL = 0xa80425fbn;
const NET_ADMIN = 1n << 12n;
/** struct vfs_cap_data (linux/capability.h), revision 2, effective: capabilities 0 to 37. */
const FILE_CAPABILITIES = Buffer.from('01000002ffffffff000000003f00000000000000', 'hex');

/** The default profile is that of containers/common, as with CRI-O, and allows them. */
const NO_USER_NAMESPACES = {
	defaultAction: 'SCMP_ACT_ALLOW',
	syscalls: [
		{names: ['unshare', 'clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 1},
		{names: ['clone'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, args: [{index: 0, value: 0x10000000, valueTwo: 0x10000000, op: 'SCMP_CMP_MASKED_EQ'}]},
	],
};

interface Trial {
	readonly title: string;
	readonly security: LinuxContainerSecurityContext;
	/** What may be had at most. */
	readonly allowed: bigint;
	/** Whom an exec may not turn into another; "any": it may. */
	readonly user: string;
	/** Whether setuid must work within what is allowed: else the attack was none. */
	readonly gains: boolean;
	/** The profile NO_USER_NAMESPACES, by which none may be made. */
	readonly forbidden?: true;
}

const TRIALS: readonly Trial[] = [
	{title: 'no_new_privs', security: {run_as_user: {value: 1000}, no_new_privs: true}, allowed: USUAL, user: '1000', gains: false},
	{
		title: 'no_new_privs and user namespaces forbidden',
		security: {run_as_user: {value: 1000}, no_new_privs: true},
		allowed: USUAL,
		user: '1000',
		gains: false,
		forbidden: true,
	},
	{
		title: 'all capabilities dropped',
		security: {run_as_user: {value: 1000}, capabilities: {drop_capabilities: ['ALL']}},
		allowed: 0n,
		user: 'any',
		gains: true,
	},
	{
		title: 'all but one dropped, as root, user namespaces forbidden',
		security: {capabilities: {drop_capabilities: ['ALL'], add_capabilities: ['NET_ADMIN']}},
		allowed: NET_ADMIN,
		user: 'any',
		gains: false,
		forbidden: true,
	},
	{title: 'the default seccomp profile', security: {run_as_user: {value: 1000}, seccomp: RUNTIME_DEFAULT}, allowed: USUAL, user: 'any', gains: true},
	{title: 'the usual capabilities, as a user', security: {run_as_user: {value: 1000}}, allowed: USUAL, user: 'any', gains: true},
];

function assertKept(t: ExecutionContext, lines: readonly string[], {title, gains, forbidden}: Trial): void {
	assertHeld(t, lines);
	t.deepEqual(
		lines.filter(line => line.startsWith('exec of')),
		[],
		title,
	);
	t.is(
		lines.some(line => line.startsWith('gained by /setuid')),
		gains,
		`${title}: ${lines.join('\n')}`,
	);
	// Without such a profile they are made, where the node allows them: what holds then is that they give nothing over the outside.
	if (forbidden) t.false(lines.includes('user namespace made'), title);
}

for (const handler of HANDLERS)
	test.serial(`${nameOf(handler)}: what a container was not given does not come back, nor to an exec`, async t => {
		const {daemon} = running();
		const content = await readFile(join(PROJECT_DIR, 'build/critest/hostile/regain-privileges'));
		const image = await pullHostile(running(), 'privileges', [
			{type: 'file', path: 'plain', mode: 0o755, content},
			{type: 'file', path: 'setuid', mode: 0o6755, content},
			{type: 'file', path: 'filecaps', mode: 0o755, content, xattrs: {'security.capability': FILE_CAPABILITIES}},
		]);
		const localhost_ref = join(daemon.places.scratchDir, 'no-user-namespaces.json');
		await writeFile(localhost_ref, JSON.stringify(NO_USER_NAMESPACES));
		const pod = await runPodBy(daemon, handler, {name: `privileges-${nameOf(handler)}`, ...podWithPid(MODE.CONTAINER)});
		for (const [i, trial] of TRIALS.entries()) {
			const argv = [trial.allowed.toString(16), trial.user];
			const changes = {image: {image}};
			const securityContext = trial.forbidden ? {...trial.security, seccomp: {profile_type: LOCALHOST, localhost_ref}} : trial.security;
			const config = hostileConfig(`p${i}`, ['regain-privileges', ...argv], {securityContext, changes});
			const id = await runContainer(daemon.cri, pod, config);
			assertKept(t, await waitForEnd(daemon, pod, {id, config}), trial);
			const waiting = {...config, metadata: {name: `w${i}`, attempt: 0}, log_path: `w${i}.log`, command: ['sleep', '1000']};
			const container_id = await createContainer(daemon.cri, pod, waiting);
			await daemon.cri.call('StartContainer', {container_id});
			const {stdout, exit_code} = await daemon.cri.call('ExecSync', {container_id, cmd: ['/hostile/regain-privileges', ...argv]});
			t.is(exit_code, 0);
			assertKept(t, Buffer.from(stdout).toString().trimEnd().split('\n'), trial);
			await daemon.cri.call('RemoveContainer', {container_id});
		}
		await removePod(daemon.cri, pod);
	});
