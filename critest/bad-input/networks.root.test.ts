import {chmod, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {buildImages} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {startDaemon, type Daemon} from '../rig/daemon.js';
import {toPodConfig, until} from '../rig/pods.js';

const PLUGIN_TIMEOUT_MS = 1500;

interface Network {
	readonly daemon: Daemon;
	/** What the plugin was called with, one command a line. */
	calls(): Promise<string>;
	readonly directory: string;
}

/** A daemon whose only network plugin is this shell script ('' = there is none of that name). */
async function withPlugin(t: ExecutionContext, script: string, check: (network: Network) => Promise<void>): Promise<void> {
	const directory = await mkdtemp(join(tmpdir(), 'berth-plugin-'));
	const registry = await openRegistry(await buildImages());
	try {
		if (script !== '') {
			await writeFile(join(directory, 'broken'), `#!/bin/sh\necho "$CNI_COMMAND" >>${directory}/calls\n${script}\n`);
			await chmod(join(directory, 'broken'), 0o755);
		}
		await mkdir(directory, {recursive: true});
		await using daemon = await startDaemon(registry, {
			network: `bin_dirs = [${JSON.stringify(directory)}]\nplugin_timeout_ms = ${PLUGIN_TIMEOUT_MS}`,
			networkConfigs: {'10-broken.conflist': {cniVersion: '1.0.0', name: 'broken', plugins: [{type: 'broken'}]}},
		});
		await check({daemon, directory, calls: () => readFile(join(directory, 'calls'), 'utf8')});
		t.deepEqual(await daemon.leaks(), []);
	} finally {
		await registry.close();
		await rm(directory, {recursive: true, force: true});
	}
}

async function runBadPod(daemon: Daemon): Promise<unknown> {
	return await daemon.cri.call('RunPodSandbox', {config: await toPodConfig(daemon, 'networkless', false)});
}

test.serial('a plugin that fails: its own words are in the error, DEL is run, nothing is left', async t => {
	const script = 'if [ "$CNI_COMMAND" = ADD ]; then echo \'{"cniVersion":"1.0.0","code":100,"msg":"no more cables"}\'; exit 1; fi; echo "{}"';
	await withPlugin(t, script, async ({daemon, calls}) => {
		await t.throwsAsync(runBadPod(daemon), {message: /broken.*no more cables/s});
		t.regex(await calls(), /ADD[^]*DEL/);
	});
});

test.serial('a plugin that answers with something else than JSON is an error that names it', async t => {
	await withPlugin(t, 'if [ "$CNI_COMMAND" = ADD ]; then echo surprise; fi', async ({daemon}) => {
		await t.throwsAsync(runBadPod(daemon), {message: /broken/});
	});
});

test.serial('a plugin that is missing is named, with the directories that were searched', async t => {
	await withPlugin(t, '', async ({daemon, directory}) => {
		await t.throwsAsync(runBadPod(daemon), {message: new RegExp(`broken[^]*${directory}|${directory}[^]*broken`)});
		const {status} = await daemon.cri.call('Status', {});
		const network = status?.conditions.find(({type}) => type === 'NetworkReady');
		t.truthy(network);
	});
});

test.serial('a plugin that hangs is killed with all it started, and DEL is run', async t => {
	await withPlugin(t, 'if [ "$CNI_COMMAND" = ADD ]; then echo $$ >"$(dirname "$0")/pid"; sleep 1000; fi; echo "{}"', async ({daemon, calls, directory}) => {
		await t.throwsAsync(runBadPod(daemon), {message: /broken.*(?:1500|time)/s});
		t.regex(await calls(), /ADD[^]*DEL/);
		const pid = Number(await readFile(join(directory, 'pid'), 'utf8'));
		await until(
			'the plugin is gone',
			() => isAlive(pid),
			alive => !alive,
		);
	});
});

test.serial('a daemon killed while a plugin hangs leaves nothing after its next start', async t => {
	await withPlugin(t, 'if [ "$CNI_COMMAND" = ADD ]; then echo $$ >"$(dirname "$0")/pid"; sleep 1000; fi; echo "{}"', async ({daemon, calls, directory}) => {
		const call = runBadPod(daemon).catch((error: unknown) => error as Error);
		await until(
			'the plugin runs',
			() => calls().catch(() => ''),
			text => text.includes('ADD'),
		);
		await daemon.kill();
		t.true((await call) instanceof Error);
		await daemon.start();
		t.deepEqual((await daemon.cri.call('ListPodSandbox', {})).items, []);
		await until('DEL is run', calls, text => text.includes('DEL'));
		// Nobody is left who would end it: an orphan of the dead daemon.
		const pid = Number(await readFile(join(directory, 'pid'), 'utf8'));
		if (await isAlive(pid)) process.kill(pid, 'SIGKILL');
	});
});

test.serial('a broken file in the conf dir is named by NetworkReady, and pods are refused', async t => {
	const registry = await openRegistry(await buildImages());
	try {
		await using daemon = await startDaemon(registry, {networkConfigs: {'10-net.conflist': {cniVersion: '1.0.0', name: 'x', plugins: 'none'}}});
		const {status} = await daemon.cri.call('Status', {});
		const network = status?.conditions.find(({type}) => type === 'NetworkReady');
		t.is(network?.status, false);
		t.regex(network?.message ?? '', /10-net\.conflist/);
		await t.throwsAsync(runBadPod(daemon), {message: /10-net\.conflist|network/i});
		t.deepEqual(await daemon.leaks(), []);
	} finally {
		await registry.close();
	}
});

async function isAlive(pid: number): Promise<boolean> {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
		// A zombie has ended; who started it has not looked yet.
		return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0] !== 'Z';
	} catch {
		return false;
	}
}
