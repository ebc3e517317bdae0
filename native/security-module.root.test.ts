import {execFile} from 'node:child_process';
import {readFile, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import test from 'ava';
import {SyscallError} from '../base/errors.js';
import {LaunchRig, shellProcess} from './launch-rig.js';
import type {LaunchSpec} from './native.js';

const run = promisify(execFile);
const PROFILE = 'berth-test-profile';
/** Whatever an image may do, but no writing below /tmp. */
const PROFILE_TEXT = `profile ${PROFILE} flags=(attach_disconnected,mediate_deleted) {
	file,
	capability,
	signal,
	deny /tmp/** w,
}
`;

const hasAppArmor = (await readFile('/sys/kernel/security/lsm', 'utf8').catch(() => '')).split(',').includes('apparmor');
const hasParser = await run('apparmor_parser', ['--version']).then(
	() => true,
	() => false,
);

const withProfile = (spec: LaunchSpec, apparmorProfile: string | null): LaunchSpec => ({...spec, process: {...spec.process, apparmorProfile}});
const SCRIPT = 'cat /proc/self/attr/apparmor/current; echo x 2>/dev/null > /tmp/x && echo written; exit 0';

test('an AppArmor profile that the kernel does not have is an error of the container, and nothing runs; so is a label of SELinux, also where it has no policy', async t => {
	await using rig = await LaunchRig.open();
	const launcher = await rig.openLauncher();
	const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
	const spec = await rig.launchSpec('pod', 'echo ran');
	const refused = await t.throwsAsync(monitor.createContainer(withProfile(spec, 'berth-not-there')), {instanceOf: SyscallError});
	t.is(refused.details['stage'], 'set AppArmor profile');
	t.is(refused.details['path'], 'berth-not-there');
	if (hasAppArmor) t.is(refused.errno, 2);
	const labelled = {...(await rig.launchSpec('pod', 'echo ran')), process: {...shellProcess('echo ran'), selinuxLabel: 'no:such:label:s0'}};
	t.is((await t.throwsAsync(monitor.createContainer(labelled), {instanceOf: SyscallError})).details['stage'], 'set SELinux label');
	t.deepEqual(await monitor.list(), []);
	t.deepEqual(await rig.cgroupsOf('pod'), []);
});

(hasAppArmor && hasParser ? test : test.skip)(
	'a container and its exec run under the AppArmor profile (for kernels with AppArmor, and apparmor_parser)',
	async t => {
		await using rig = await LaunchRig.open();
		await writeFile(`${rig.dir}/profile`, PROFILE_TEXT);
		await run('apparmor_parser', ['--replace', '--skip-cache', `${rig.dir}/profile`]);
		try {
			const launcher = await rig.openLauncher();
			const monitor = await launcher.createMonitor(rig.monitorRequest('pod'));
			const runOne = async (profile: string | null): Promise<readonly string[]> => {
				const spec = withProfile(await rig.launchSpec('pod', SCRIPT), profile);
				await monitor.createContainer(spec);
				await monitor.startContainer(spec.containerId);
				await rig.exitOf(spec.containerId);
				return await rig.logLines(spec.containerId);
			};
			t.deepEqual(await runOne(PROFILE), [`${PROFILE} (enforce)`]);
			t.deepEqual(await runOne(null), ['unconfined', 'written']);
			const sleeper = withProfile(await rig.launchSpec('pod', 'sleep 1000'), null);
			await monitor.createContainer(sleeper);
			await monitor.startContainer(sleeper.containerId);
			const limits = {timeoutMs: 60_000, maxOutputBytes: 4096};
			const {stdout} = await monitor.execSync(rig.execRequest(sleeper, SCRIPT, {apparmorProfile: PROFILE}), limits, null);
			t.is(Buffer.from(stdout).toString(), `${PROFILE} (enforce)\n`);
		} finally {
			await run('apparmor_parser', ['--remove', `${rig.dir}/profile`]);
		}
	},
);
