import test, {type ExecutionContext} from 'ava';
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemClock} from '../base/clock.js';
import {CancelledError, FailedError, InvalidArgumentError, TimedOutError} from '../base/errors.js';
import {silentLog} from '../base/log.js';
import {Admission} from './admission.js';
import {attach} from './attach.js';
import {AttachCache} from './cache.js';
import type {Chain} from './chain.js';
import {parseNetworkConfig, type NetworkConfig} from './config.js';
import {detach} from './detach.js';
import {attachment, bytes, cniDirs, conflist, fakeKernel, resultWith, type PluginScript} from './fake-kernel.js';

const network = parseNetworkConfig(
	'net.conflist',
	conflist('net', {type: 'first', own: 1}, {type: 'second', capabilities: {portMappings: true, bandwidth: true, dns: true, cgroupPath: true}}),
);

async function chainWith(t: ExecutionContext, script: PluginScript) {
	const dirs = await cniDirs({first: '', second: ''});
	t.teardown(dirs.remove);
	const {kernel, calls} = fakeKernel(script);
	const cache = await AttachCache.open(dirs.options.cacheDir);
	const chain: Chain = {host: {kernel, binDirs: dirs.options.binDirs, timeoutMs: 1000}, cache, admission: new Admission(2), log: silentLog};
	return {chain, calls, cacheDir: dirs.options.cacheDir, names: () => calls.map(({command, plugin}) => `${command} ${plugin}`)};
}

const adds: PluginScript = ({command, plugin}) => (command === 'ADD' ? resultWith(plugin === 'first' ? '10.0.0.1/24' : '10.0.0.2/24') : '');

test("attach runs ADD in order, feeds each result to the next, and returns the last one's addresses", async t => {
	const {chain, calls, names} = await chainWith(t, adds);
	t.deepEqual(await attach(chain, network, attachment, null), {ips: ['10.0.0.2']});
	t.deepEqual(names(), ['ADD first', 'ADD second']);
	t.deepEqual(calls[0]!.stdin, {type: 'first', own: 1, name: 'net', cniVersion: '1.0.0'});
	t.deepEqual(calls[1]!.stdin['prevResult'], resultWith('10.0.0.1/24'));
	t.like(calls[0]!.env, {
		CNI_COMMAND: 'ADD',
		CNI_CONTAINERID: 'pod1',
		CNI_NETNS: attachment.netnsPath,
		CNI_IFNAME: 'eth0',
		CNI_PATH: chain.host.binDirs.join(':'),
		CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=pod1;K8S_POD_UID=uid-1',
	});
});

test('attach passes capabilities only to the plugin that declares them, and only ports with a host port', async t => {
	const {chain, calls} = await chainWith(t, adds);
	await attach(
		chain,
		network,
		{
			...attachment,
			portMappings: [
				{protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: ''},
				{protocol: 'udp', containerPort: 53, hostPort: 0, hostIp: ''},
			],
			bandwidth: {ingressRate: 1_000_000, egressRate: null},
			cgroupPath: '/pods/x',
			dns: {servers: ['10.0.0.10'], searches: [], options: ['ndots:5']},
		},
		null,
	);
	t.is(calls[0]!.stdin['runtimeConfig'], undefined);
	t.deepEqual(calls[1]!.stdin['runtimeConfig'], {
		portMappings: [{protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIP: ''}],
		bandwidth: {ingressRate: 1_000_000, ingressBurst: 2_147_483_647},
		cgroupPath: '/pods/x',
		dns: {servers: ['10.0.0.10'], searches: [], options: ['ndots:5']},
	});
});

test("attach whose second plugin fails runs DEL of the whole chain backwards and throws the plugin's own words", async t => {
	const {chain, calls, names, cacheDir} = await chainWith(t, call =>
		call.command === 'ADD' && call.plugin === 'second' ? {exitCode: 1, stdout: bytes({code: 11, msg: 'no room', details: 'try later'})} : adds(call, null),
	);
	const error = await t.throwsAsync(attach(chain, network, attachment, null), {
		instanceOf: FailedError,
		message: 'CNI plugin "second" ADD failed: no room: try later (code 11)',
	});
	t.like(error.details, {plugin: 'second', command: 'ADD', network: 'net', pluginCode: 11});
	t.deepEqual(names(), ['ADD first', 'ADD second', 'DEL second', 'DEL first']);
	t.deepEqual(calls[2]!.stdin['prevResult'], resultWith('10.0.0.1/24'));
	t.deepEqual(await readdir(cacheDir), []);
});

const failures: readonly (readonly [string, PluginScript, object])[] = [
	['prints garbage', () => 'Segmentation fault', {instanceOf: FailedError, message: /"first" ADD printed an invalid result: not JSON: Segmentation fault/}],
	[
		'fails without a report',
		() => ({exitCode: 2, stderr: bytes('panic: nil map\n')}),
		{instanceOf: FailedError, message: /"first" ADD exited with 2 and no error report: panic: nil map/},
	],
	['hangs', () => ({exitCode: 137, timedOut: true}), {instanceOf: TimedOutError, message: /"first" ADD did not end within 1000 ms/}],
	[
		'cannot be run',
		() => {
			throw new Error('EACCES');
		},
		{instanceOf: FailedError, message: /"first" ADD could not be run: EACCES/},
	],
	['gives no address', () => ({}), {instanceOf: FailedError, message: /network "net" \(net\.conflist\) gave the pod no address on eth0/}],
];
for (const [what, script, expected] of failures) {
	test(`attach of a plugin that ${what} undoes everything and says so`, async t => {
		const {chain, names, cacheDir} = await chainWith(t, call => (call.command === 'ADD' ? script(call, null) : ''));
		await t.throwsAsync(attach(chain, network, attachment, null), expected);
		t.deepEqual(names().slice(-2), ['DEL second', 'DEL first']);
		t.deepEqual(await readdir(cacheDir), []);
	});
}

test('attach names a plugin that is missing and where it was looked for, and runs nothing', async t => {
	const {chain, names} = await chainWith(t, adds);
	const lacking: NetworkConfig = {...network, plugins: [network.plugins[0]!, {type: 'absent'}]};
	await t.throwsAsync(attach(chain, lacking, attachment, null), {
		instanceOf: FailedError,
		message: `CNI plugin "absent" not found in ${chain.host.binDirs[0]}`,
	});
	t.deepEqual(names(), []);
});

test('attach that is cancelled hands the signal to the plugin, runs DEL and throws CancelledError', async t => {
	const abort = new AbortController();
	const {chain, names, cacheDir} = await chainWith(t, async ({command}, signal) => {
		if (command === 'DEL') {
			t.is(signal, null);
			return '';
		}
		abort.abort();
		await systemClock.sleep(1000, signal!);
		return {exitCode: 137};
	});
	await t.throwsAsync(attach(chain, network, attachment, abort.signal), {instanceOf: CancelledError, message: /"first" ADD cancelled/});
	t.deepEqual(names(), ['ADD first', 'DEL second', 'DEL first']);
	t.deepEqual(await readdir(cacheDir), []);
});

test("attach whose undo fails too throws the ADD's error and leaves what a later detach needs", async t => {
	let broken = true;
	const {chain, names, cacheDir} = await chainWith(t, () => (broken ? {exitCode: 1, stdout: bytes({code: 1, msg: 'broken'})} : ''));
	await t.throwsAsync(attach(chain, network, attachment, null), {message: /"first" ADD failed: broken/});
	t.deepEqual(await readdir(cacheDir), ['pod1.json']);
	broken = false;
	await detach(chain, null, attachment);
	t.deepEqual(names().slice(-2), ['DEL second', 'DEL first']);
	t.deepEqual(await readdir(cacheDir), []);
});

test('attach writes down the configuration before the first plugin runs and the result after the last', async t => {
	const seen: unknown[] = [];
	const {chain, cacheDir} = await chainWith(t, async call => {
		seen.push(JSON.parse(await readFile(join(cacheDir, 'pod1.json'), 'utf8')));
		return adds(call, null);
	});
	await attach(chain, network, attachment, null);
	t.like(seen[0], {version: 1, network: {name: 'net'}, result: null});
	t.deepEqual(await chain.cache.get('pod1'), {network, result: resultWith('10.0.0.2/24') as never});
});

const refused: readonly (readonly [string, object, RegExp])[] = [
	['a sandbox id with a slash', {sandboxId: '../x'}, /^sandboxId: /],
	['a pod name that would add to CNI_ARGS', {podName: 'a;K8S_POD_NAME=b'}, /^podName: /],
	['a host port beyond 65535', {portMappings: [{protocol: 'tcp', containerPort: 1, hostPort: 65_536, hostIp: ''}]}, /^portMappings\[0\]\.hostPort: /],
	['a container port 0', {portMappings: [{protocol: 'tcp', containerPort: 0, hostPort: 1, hostIp: ''}]}, /^portMappings\[0\]\.containerPort: /],
];
for (const [what, change, message] of refused) {
	test(`attach refuses ${what} and runs nothing; detach of it succeeds`, async t => {
		const {chain, calls, cacheDir} = await chainWith(t, adds);
		await t.throwsAsync(attach(chain, network, {...attachment, ...change}, null), {instanceOf: InvalidArgumentError, message});
		await detach(chain, network, {...attachment, ...change});
		t.deepEqual(calls, []);
		t.deepEqual(await readdir(cacheDir), []);
	});
}
