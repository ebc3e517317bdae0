import test, {type ExecutionContext} from 'ava';
import {mkdir, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {systemClock} from '../base/clock.js';
import {UnavailableError} from '../base/errors.js';
import {silentLog} from '../base/log.js';
import type {Cni, CniOptions} from './cni.js';
import {attachment, cniDirs, conflist, fakeKernel, resultWith, writePlugin} from './fake-kernel.js';
import {openCni} from './network.js';

async function cniWith(t: ExecutionContext, files: Readonly<Record<string, string>>, change: (options: CniOptions) => Partial<CniOptions> = () => ({})) {
	const dirs = await cniDirs({bridge: '', portmap: '', ptp: ''});
	t.teardown(dirs.remove);
	const options = {...dirs.options, ...change(dirs.options)};
	for (const [name, text] of Object.entries(files)) await writeFile(join(dirs.options.confDir, name), text);
	const {kernel, calls} = fakeKernel(({command}) => (command === 'ADD' ? resultWith('10.0.0.2/24') : ''));
	const cni = await openCni(options, kernel, silentLog);
	t.teardown(async () => await cni.close());
	/** The network that an attach uses. */
	const used = async (): Promise<unknown> => {
		await cni.attach(attachment, null);
		await cni.detach(attachment);
		return calls.at(-1)?.stdin['name'];
	};
	return {cni, options, calls, used};
}

async function until(t: ExecutionContext, cni: Cni, wanted: (status: ReturnType<Cni['status']>) => boolean): Promise<void> {
	for (let waitedMs = 0; !wanted(cni.status()); waitedMs += 10) {
		if (waitedMs > 5000) return t.fail(`status stayed ${JSON.stringify(cni.status())}`);
		await systemClock.sleep(10);
	}
	t.pass();
}

const embedded = {bridge: 'brx', subnets: ['10.1.0.0/16', 'fd00:1::/64'], dataDir: '/x'};

test('the lexicographically first valid file is the network; broken ones are named with the reason', async t => {
	const {cni, used} = await cniWith(t, {
		'00-broken.conflist': '{',
		'10-b.conflist': conflist('b', {type: 'bridge'}),
		'20-a.conflist': conflist('a', {type: 'bridge'}),
		'05-notes.txt': 'no config',
	});
	t.like(cni.status(), {ready: true});
	t.regex(cni.status().message, /"b" \(10-b\.conflist\) is used; passed over: 00-broken\.conflist: not JSON/);
	t.is(await used(), 'b');
});

test('with broken files only, the network is not ready and the embedded one does not stand in', async t => {
	const {cni} = await cniWith(t, {'10.conflist': '{}'}, () => ({embedded}));
	t.like(cni.status(), {ready: false, reason: 'NetworkPluginNotReady'});
	t.regex(cni.status().message, /10\.conflist: name: /);
	await t.throwsAsync(cni.attach(attachment, null), {instanceOf: UnavailableError, message: /10\.conflist: name: /});
});

test('a plugin that no bin dir has makes the network not ready until it is installed', async t => {
	const {cni, options} = await cniWith(t, {'10.conflist': conflist('n', {type: 'bridge'}, {type: 'later'})});
	t.like(cni.status(), {ready: false});
	t.regex(cni.status().message, /"later" not found in /);
	await writePlugin(join(options.binDirs[0]!, 'later'), '');
	await until(t, cni, ({ready}) => ready);
});

test('an empty conf dir without embedded default is not ready, and a new file makes it ready without a restart', async t => {
	const {cni, options, used} = await cniWith(t, {});
	t.like(cni.status(), {ready: false, message: `no network configuration in ${options.confDir}`});
	await writeFile(join(options.confDir, '10.conflist'), conflist('fresh', {type: 'bridge'}));
	await until(t, cni, ({ready}) => ready);
	t.is(await used(), 'fresh');
	await rm(join(options.confDir, '10.conflist'));
	await until(t, cni, ({ready}) => !ready);
});

test('a conf dir that is missing, with its parents, is found when it appears, also by rename, and when it is replaced', async t => {
	const {cni, options} = await cniWith(t, {}, ({confDir}) => ({confDir: join(confDir, 'etc', 'cni', 'net.d')}));
	t.false(cni.status().ready);
	await mkdir(dirname(options.confDir), {recursive: true});
	const beside = `${options.confDir}.new`;
	await mkdir(beside);
	await writeFile(join(beside, '1.conflist'), conflist('n', {type: 'bridge'}));
	await rename(beside, options.confDir);
	await until(t, cni, ({ready}) => ready);
	await rm(options.confDir, {recursive: true});
	await until(t, cni, ({ready}) => !ready);
	await mkdir(options.confDir);
	await writeFile(join(options.confDir, '1.conf'), JSON.stringify({cniVersion: '0.4.0', name: 'again', type: 'ptp'}));
	await until(t, cni, ({ready}) => ready);
});

test('the embedded network serves an empty conf dir: bridge, host-local with both families, portmap; a file replaces it', async t => {
	const {cni, options, calls, used} = await cniWith(t, {}, () => ({embedded}));
	t.deepEqual(cni.status(), {ready: true, reason: '', message: ''});
	t.is(await used(), 'brx');
	t.like(calls[0]!.stdin, {
		type: 'bridge',
		bridge: 'brx',
		isGateway: true,
		ipMasq: true,
		ipam: {type: 'host-local', dataDir: '/x', ranges: [[{subnet: '10.1.0.0/16'}], [{subnet: 'fd00:1::/64'}]], routes: [{dst: '0.0.0.0/0'}, {dst: '::/0'}]},
	});
	t.deepEqual(calls[1]!.stdin['capabilities'], {portMappings: true});
	// A pod attached before the change is detached by what attached it.
	await cni.attach(attachment, null);
	await writeFile(join(options.confDir, '10.conflist'), conflist('mine', {type: 'bridge'}, {type: 'absent'}));
	await until(t, cni, ({ready}) => !ready);
	await cni.detach(attachment);
	t.is(calls.at(-1)?.stdin['name'], 'brx');
});
