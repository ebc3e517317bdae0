import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import {runOk} from '../rig/command.js';
import {createContainer, pullBusybox, removePod, runContainer, runPodBy, statusOf, toContainerConfig, until} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {useDaemon} from '../rig/use-daemon.js';
import {execute, exitOf} from './handlers.js';

/** Programs that stand for a runtime; the daemon wants them when it starts. */
const dir = mkdtempSync(join(tmpdir(), 'berth-handlers-'));
test.after.always(() => rmSync(dir, {recursive: true, force: true}));

function program(name: string, script: string): string {
	const path = join(dir, name);
	writeFileSync(path, `#!/bin/sh\ncase "$*" in --version) exit 0;; esac\n${script}\n`, {mode: 0o755});
	return path;
}

const says = 'while [ "$1" != --log ]; do shift; done\necho \'{"level":"error","msg":"it does not like \\"it\\""}\' >"$2"; exit 1';
/** runc, but for the command whose name the file `hang` has: that never ends. */
const hangs = `hang=$(cat ${dir}/hang 2>/dev/null || echo none)\ncase " $* " in *" $hang "*) sleep 5000;; esac\nexec /usr/sbin/runc "$@"`;
const table = (name: string, path: string): string => `[runtime.handlers.${name}]\ntype = "oci"\npath = "${path}"\ntimeout_ms = 1500\n`;
const runtime = [
	table('missing', '/no/such/runtime'),
	table('refuses', program('refuses', says)),
	table('silent', program('silent', 'exit 3')),
	table('lies', program('lies', 'exit 0')),
	table('hangs', program('hangs', hangs)),
].join('');
const running = useDaemon(test, {runtime});

test.serial('a handler whose binary is missing: the daemon serves, Status says why, and its pods are refused with the reason', async t => {
	const {daemon} = running();
	const reply = await daemon.cri.call('Status', {});
	t.deepEqual(
		reply.runtime_handlers.map(({name}) => name),
		['', 'refuses', 'silent', 'lies', 'hangs'],
	);
	const condition = reply.status?.conditions.find(({type}) => type === 'RuntimeHandlersReady');
	t.like(condition, {status: false, reason: 'RuntimeHandlerUnusable'});
	t.regex(condition?.message ?? '', /"missing": ENOENT.*\/no\/such\/runtime/);
	t.true(reply.status?.conditions.find(({type}) => type === 'RuntimeReady')?.status);
	await assertRefused(t, status.UNAVAILABLE, /runtime_handler "missing" cannot be used.*ENOENT/, runPodBy(daemon, 'missing', {name: 'm'}));
});

for (const [handler, says, code] of [
	['refuses', /runtime handler "refuses", create: it does not like "it"/, status.UNKNOWN],
	['silent', /runtime handler "silent", create: it ended without a word/, status.UNKNOWN],
	['lies', /runtime handler "lies", create: it wrote down no process/, status.UNKNOWN],
] as const) {
	test.serial(`a runtime that ${handler}: CreateContainer fails with its words and leaves nothing; the pod goes on`, async t => {
		const {daemon} = running();
		await pullBusybox(daemon.cri);
		const pod = await runPodBy(daemon, handler, {name: `p-${handler}`});
		for (let round = 0; round < 2; round++) await assertRefused(t, code, says, createContainer(daemon.cri, pod, toContainerConfig('c', ['true'])));
		const {containers} = await daemon.cri.call('ListContainers', {});
		t.deepEqual(containers, []);
		t.deepEqual(await readdir(join(daemon.places.runDir, 'pods', pod.id, 'oci')), []);
		t.deepEqual(await readdir(join(daemon.places.rootDir, 'containers')), []);
		await removePod(daemon.cri, pod);
	});
}

test.serial('a runtime that hangs is killed at its deadline, whatever it was asked; all else goes on meanwhile', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPodBy(daemon, 'hangs', {name: 'hangs'});
	const other = await runContainer(cri, pod, toContainerConfig('other', ['sleep', '1000']));
	const hang = (verb: string): Promise<void> => writeFile(join(dir, 'hang'), verb);

	await hang('create');
	const creating = createContainer(cri, pod, toContainerConfig('c', ['true'])).catch((error: unknown) => error as Error);
	const waited = creating.then(() => 'created' as const);
	const first = await Promise.race([waited, cri.call('ContainerStatus', {container_id: other}).then(() => 'served' as const)]);
	t.is(first, 'served', 'the monitor and the daemon do not wait for the runtime');
	t.regex(((await creating) as Error).message, /runtime handler "hangs", create: killed at its deadline/);

	await rm(join(dir, 'hang'));
	const parked = await createContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
	await hang('start');
	await assertRefused(t, status.UNKNOWN, /runtime handler "hangs", start: killed at its deadline/, cri.call('StartContainer', {container_id: parked}));
	t.like(await exitOf(daemon, parked), {reason: 'StartError'});

	await hang('exec');
	await assertRefused(t, status.UNKNOWN, /runtime handler "hangs", exec: killed at its deadline/, cri.call('ExecSync', {container_id: other, cmd: ['true']}));
	await rm(join(dir, 'hang'));
	t.deepEqual(await execute(daemon, other, 'echo works'), ['works']);

	await hang('delete');
	await cri.call('RemoveContainer', {container_id: other});
	await rm(join(dir, 'hang'));
	await removePod(cri, pod);
	t.deepEqual(await daemon.leaks(), []);
	t.false((await runOk(['ps', '-eo', 'args'])).includes('sleep 5000'), 'what it had begun is gone too');
});

test.serial('a client that goes away, and RemovePodSandbox, while the runtime hangs: nothing is left', async t => {
	const {daemon} = running();
	const {cri} = daemon;
	await pullBusybox(cri);
	const pod = await runPodBy(daemon, 'hangs', {name: 'gone'});
	await writeFile(join(dir, 'hang'), 'create');
	const cut = await t.throwsAsync(
		cri.call('CreateContainer', {pod_sandbox_id: pod.id, config: toContainerConfig('c', ['true']), sandbox_config: pod.config}, 300),
	);
	t.regex(cut?.message ?? '', /DEADLINE_EXCEEDED/);
	await removePod(cri, pod);
	await rm(join(dir, 'hang'));
	t.deepEqual(await daemon.leaks(), []);
});

test.serial('a handler that is taken out of the config: its pods are told of, stopped and removed', async t => {
	const {daemon} = running();
	const {cri, places} = daemon;
	await pullBusybox(cri);
	const pod = await runPodBy(daemon, 'hangs', {name: 'orphan'});
	const id = await runContainer(cri, pod, toContainerConfig('c', ['sleep', '1000']));
	const config = await readFile(places.configFile, 'utf8');
	await daemon.stop();
	await writeFile(places.configFile, config.replace(/\[runtime\.handlers\.hangs\]\n(?:[a-z_]+ = .*\n)+/, ''));
	await daemon.start();
	t.is((await statusOf(cri, id)).state, 1);
	await assertRefused(t, status.UNAVAILABLE, /runtime handler "hangs" is not configured any more/, createContainer(cri, pod, toContainerConfig('d', ['true'])));
	await cri.call('StopContainer', {container_id: id, timeout: 0});
	t.is((await exitOf(daemon, id)).exitCode, 137);
	await removePod(cri, pod);
	t.deepEqual(await daemon.leaks(), []);
	await daemon.stop();
	await writeFile(places.configFile, config);
	await daemon.start();
	await until(
		'the handler is back',
		() => cri.call('Status', {}),
		({runtime_handlers: handlers}) => handlers.some(({name}) => name === 'hangs'),
	);
});
