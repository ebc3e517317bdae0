import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {_runtime_v1_SecurityProfile_ProfileType as ProfileType} from '../../proto/gen/runtime/v1/SecurityProfile.js';
import {createContainer, pullBusybox, removePod, runContainer, runPodBy, statusOf, toContainerConfig} from '../rig/pods.js';
import {useDaemon} from '../rig/use-daemon.js';
import {execute, exitOf, HANDLERS, logOf, messagesOf, nameOf, RUNTIME} from './handlers.js';

const running = useDaemon(test, {runtime: RUNTIME});
const SHOW_CAPABILITIES = 'grep -E "^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):" /proc/self/status | tr -d "\\t"';

for (const handler of HANDLERS) {
	const name = nameOf(handler);

	test.serial(`${name}: arguments, environment, working directory, user and groups; an exec has the same`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `env-${name}`, hostname: 'told'});
		const config = toContainerConfig(
			'c',
			['sh', '-c', 'echo "$0|$1|$A|$B|$HOSTNAME|$HOME"; pwd; id -u; id -g; id -G; umask; hostname; sleep 1000', 'a b', '"\\'],
			{
				envs: [
					{key: 'A', value: Buffer.from('one "two"\\ ü') as never},
					{key: 'B', value: Buffer.from('line\nline') as never},
				],
				working_dir: '/made/here',
				linux: {security_context: {run_as_user: {value: '1234'}, run_as_group: {value: '77'}, supplemental_groups: ['5', '9000']}},
			},
		);
		const id = await runContainer(daemon.cri, pod, config);
		const lines = await execute(daemon, id, 'echo "$A|$B|$HOSTNAME|$HOME"; pwd; id -u; id -g; id -G; umask; hostname');
		const identity = ['/made/here', '1234', '77', '77 5 9000', '0022', 'told'];
		t.deepEqual(lines, ['one "two"\\ ü|line', 'line|told|/', ...identity]);
		t.deepEqual(await logOf(pod, 'c', identity.length + 2), ['a b|"\\|one "two"\\ ü|line', 'line|told|/', ...identity]);
		const {user} = await statusOf(daemon.cri, id);
		t.deepEqual(user?.linux, {uid: '1234', gid: '77', supplemental_groups: ['77', '5', '9000']} as never);
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: a user by name is looked up in the image, with its groups and its home`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `user-${name}`});
		const config = toContainerConfig('c', ['sh', '-c', 'id -un; id -u; echo $HOME'], {linux: {security_context: {run_as_username: 'www-data'}}});
		t.deepEqual(await messagesOf(daemon, pod, config), ['www-data', '33', '/var/www']);
		const nobody = toContainerConfig('d', ['true'], {linux: {security_context: {run_as_username: 'no-such'}}});
		const refused = await t.throwsAsync(createContainer(daemon.cri, pod, nobody));
		t.regex(refused?.message ?? '', /run_as_username "no-such".*no such name/);
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: capabilities, no_new_privs and seccomp, of the container and of an exec`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `caps-${name}`});
		const profile = join(daemon.places.scratchDir, 'seccomp.json');
		const rule = {names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 99, args: []};
		await writeFile(profile, JSON.stringify({defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule]}));
		const security_context = {
			capabilities: {add_capabilities: ['NET_ADMIN'], drop_capabilities: ['CHOWN', 'MKNOD']},
			no_new_privs: true,
			seccomp: {profile_type: ProfileType.Localhost, localhost_ref: profile},
		};
		const script = `${SHOW_CAPABILITIES}; mkdir /x 2>&1; chown 1:1 /tmp 2>&1`;
		const id = await runContainer(daemon.cri, pod, toContainerConfig('c', ['sh', '-c', `${script}; sleep 1000`], {linux: {security_context}}));
		const sets = '00000000a00435fa';
		const expected = [`CapPrm:${sets}`, `CapEff:${sets}`, `CapBnd:${sets}`, 'CapAmb:0000000000000000', 'NoNewPrivs:1', 'Seccomp:2'];
		const refused = ["mkdir: can't create directory '/x': Address not available", 'chown: /tmp: Operation not permitted'];
		t.deepEqual(await execute(daemon, id, `{ ${script}; } 2>&1; true`), [...expected, ...refused]);
		t.deepEqual(await logOf(pod, 'c', expected.length + refused.length), [...expected, ...refused]);
		const plain = toContainerConfig('d', ['sh', '-c', SHOW_CAPABILITIES], {
			linux: {security_context: {run_as_user: {value: '5'}, capabilities: {add_ambient_capabilities: ['NET_RAW']}}},
		});
		const ambient = (await messagesOf(daemon, pod, plain)).filter(line => /CapAmb|CapEff|NoNew|Seccomp/.test(line));
		t.deepEqual(ambient, ['CapEff:0000000000002000', 'CapAmb:0000000000002000', 'NoNewPrivs:0', 'Seccomp:0']);
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: RuntimeDefault seccomp lets a shell live and keeps a mount namespace from it`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `sec-${name}`});
		const security_context = {seccomp: {profile_type: ProfileType.RuntimeDefault}};
		const config = toContainerConfig('c', ['sh', '-c', 'grep Seccomp: /proc/self/status | tr -d "\\t"; unshare -m true 2>&1; echo $?'], {
			linux: {security_context},
		});
		t.deepEqual(await messagesOf(daemon, pod, config), ['Seccomp:2', 'unshare: unshare(0x20000): Operation not permitted', '1']);
		await removePod(daemon.cri, pod);
	});

	test.serial(`${name}: a container with a terminal, and an exec that fails, ends and times out`, async t => {
		const {daemon} = running();
		const {cri} = daemon;
		await pullBusybox(cri);
		const pod = await runPodBy(daemon, handler, {name: `tty-${name}`});
		const terminal = toContainerConfig('t', ['sh', '-c', 'tty; stty size; test -c /dev/console && echo console; echo $TERM; exit 3'], {tty: true});
		const id = await runContainer(cri, pod, terminal);
		t.is((await exitOf(daemon, id)).exitCode, 3);
		// A terminal ends its lines by CR LF.
		const log = (await readFile(join(pod.logDirectory, 't.log'), 'utf8')).split('\n').slice(0, -1);
		const [tty = '', , ...rest] = log.map(line => /stdout F (.*)\r$/.exec(line)?.[1] ?? line);
		t.regex(tty, /^\/dev\/(pts\/0|console)$/);
		t.deepEqual(rest, ['console', 'xterm']);
		const sleeper = await runContainer(cri, pod, toContainerConfig('s', ['sleep', '1000']));
		t.is((await cri.call('ExecSync', {container_id: sleeper, cmd: ['sh', '-c', 'exit 42']})).exit_code, 42);
		t.is((await cri.call('ExecSync', {container_id: sleeper, cmd: ['sh', '-c', 'kill -9 $$']})).exit_code, 137);
		const both = await cri.call('ExecSync', {container_id: sleeper, cmd: ['sh', '-c', 'echo out; echo err >&2']});
		t.deepEqual([Buffer.from(both.stdout).toString(), Buffer.from(both.stderr).toString()], ['out\n', 'err\n']);
		const missing = await t.throwsAsync(cri.call('ExecSync', {container_id: sleeper, cmd: ['/no/such']}));
		t.regex(missing?.message ?? '', /exec.*\/no\/such.*ENOENT/);
		const late = await t.throwsAsync(cri.call('ExecSync', {container_id: sleeper, cmd: ['sh', '-c', 'sleep 777 & sleep 778'], timeout: '1'}));
		t.regex(late?.message ?? '', /DEADLINE_EXCEEDED/);
		t.deepEqual(await execute(daemon, sleeper, 'ps | grep -c "sleep 77[78]" || true'), ['0']);
		await removePod(cri, pod);
	});
}
