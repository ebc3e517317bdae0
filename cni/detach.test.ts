import test, {type ExecutionContext} from 'ava';
import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {FailedError} from '../base/errors.js';
import {silentLog} from '../base/log.js';
import {Admission} from './admission.js';
import {attach} from './attach.js';
import {AttachCache} from './cache.js';
import type {Chain} from './chain.js';
import {parseNetworkConfig} from './config.js';
import {detach} from './detach.js';
import {attachment, bytes, cniDirs, conflist, fakeKernel, resultWith, type PluginScript} from './fake-kernel.js';

const network = parseNetworkConfig('net.conflist', conflist('net', {type: 'first'}, {type: 'second'}));
const works: PluginScript = ({command}) => (command === 'ADD' ? resultWith('10.0.0.2/24') : '');

async function chainWith(t: ExecutionContext, script: PluginScript) {
	const dirs = await cniDirs({first: '', second: ''});
	t.teardown(dirs.remove);
	const {kernel, calls} = fakeKernel(script);
	const cache = await AttachCache.open(dirs.options.cacheDir);
	const chain: Chain = {host: {kernel, binDirs: dirs.options.binDirs, timeoutMs: 1000}, cache, admission: new Admission(1), log: silentLog};
	return {chain, calls, cacheDir: dirs.options.cacheDir, dels: () => calls.filter(({command}) => command === 'DEL')};
}

test('detach runs DEL backwards with the configuration and result of the ADD, whatever is configured now', async t => {
	const {chain, dels, cacheDir} = await chainWith(t, works);
	await attach(chain, network, attachment, null);
	await detach(chain, parseNetworkConfig('other.conflist', conflist('other', {type: 'absent'})), attachment);
	t.deepEqual(
		dels().map(({plugin}) => plugin),
		['second', 'first'],
	);
	for (const {stdin, env} of dels()) {
		t.deepEqual(stdin['prevResult'], resultWith('10.0.0.2/24'));
		t.is(env['CNI_NETNS'], attachment.netnsPath);
	}
	t.deepEqual(await readdir(cacheDir), []);
});

test('detach passes no prevResult before 0.4.0, which did not know it', async t => {
	const {chain, dels} = await chainWith(t, works);
	await attach(chain, {...network, cniVersion: '0.3.1'}, attachment, null);
	await detach(chain, null, attachment);
	t.deepEqual(
		dels().map(({stdin}) => stdin['prevResult']),
		[undefined, undefined],
	);
});

test('detach again, or of a pod without cached result, runs DEL by the current configuration; without one it does nothing', async t => {
	const {chain, dels} = await chainWith(t, works);
	await attach(chain, network, attachment, null);
	await detach(chain, network, attachment);
	await detach(chain, network, attachment);
	t.is(dels().length, 4);
	await detach(chain, null, attachment);
	t.is(dels().length, 4);
});

for (const netnsPath of ['/nowhere/netns', '']) {
	test(`detach gives an empty CNI_NETNS when the namespace ${netnsPath === '' ? 'was never known' : 'is gone'}`, async t => {
		const {chain, dels} = await chainWith(t, works);
		await detach(chain, network, {...attachment, netnsPath});
		t.deepEqual(
			dels().map(({env}) => env['CNI_NETNS']),
			['', ''],
		);
	});
}

test('detach takes a pin that is a plain file for a namespace that is gone', async t => {
	const {chain, dels, cacheDir} = await chainWith(t, works);
	const netnsPath = join(cacheDir, 'pin');
	await writeFile(netnsPath, '');
	await detach(chain, network, {...attachment, netnsPath});
	t.deepEqual(
		dels().map(({env}) => env['CNI_NETNS']),
		['', ''],
	);
});

test('detach runs every plugin past one that fails, throws its words, keeps the cache, and a retry finishes', async t => {
	let fails = true;
	const {chain, dels, cacheDir} = await chainWith(t, call =>
		call.command === 'DEL' && call.plugin === 'second' && fails ? {exitCode: 1, stdout: bytes({code: 100, msg: 'busy'})} : works(call, null),
	);
	await attach(chain, network, attachment, null);
	await t.throwsAsync(detach(chain, null, attachment), {instanceOf: FailedError, message: 'CNI plugin "second" DEL failed: busy (code 100)'});
	t.is(dels().length, 2);
	t.deepEqual(await readdir(cacheDir), ['pod1.json']);
	fails = false;
	await detach(chain, null, attachment);
	t.deepEqual(await readdir(cacheDir), []);
});

test('detach quotes all plugins that failed', async t => {
	const {chain} = await chainWith(t, ({plugin}) => ({exitCode: 1, stdout: bytes({code: 100, msg: `${plugin} is busy`})}));
	const error = await t.throwsAsync(detach(chain, network, attachment), {instanceOf: FailedError});
	t.regex(error.message, /second is busy.*first is busy/);
});

test('detach with a torn cache file goes by the current configuration', async t => {
	const {chain, dels, cacheDir} = await chainWith(t, works);
	await writeFile(join(cacheDir, 'pod1.json'), '{"version":1,"netw');
	await detach(chain, network, attachment);
	t.is(dels().length, 2);
	t.deepEqual(await readdir(cacheDir), []);
});

test('detach runs no plugin that a cache file names by a path', async t => {
	const {chain, calls, cacheDir} = await chainWith(t, works);
	await writeFile(join(cacheDir, 'pod1.json'), JSON.stringify({version: 1, network: {...network, plugins: [{type: '../first'}]}, result: null}));
	await detach(chain, null, attachment);
	t.deepEqual(calls, []);
});
