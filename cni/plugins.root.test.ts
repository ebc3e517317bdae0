import test, {type ExecutionContext} from 'ava';
import {execFile, spawn} from 'node:child_process';
import {randomBytes, randomInt} from 'node:crypto';
import {once} from 'node:events';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {systemClock} from '../base/clock.js';
import {CancelledError, FailedError, TimedOutError} from '../base/errors.js';
import {silentLog} from '../base/log.js';
import {patientMs} from '../base/test-patience.js';
import type {Kernel} from '../native/native.js';
import {openNative} from '../native/open-native.js';
import type {Attachment, CniOptions} from './cni.js';
import {attachment as plain, cniDirs, conflist, writePlugin} from './fake-kernel.js';
import {openCni} from './network.js';

const run = promisify(execFile);
/** Debian's containernetworking-plugins. */
const PLUGIN_DIR = '/usr/lib/cni';

/**
 * A world of its own: one namespace stands for the host (plugins run in it by nsenter, so that bridges and iptables rules stay off the real host),
 * others for pods. Removed at the end, with everything in it.
 */
async function world(t: ExecutionContext, files: Readonly<Record<string, string>> = {}, change: Partial<CniOptions> = {}) {
	const id = randomBytes(4).toString('hex');
	const dirs = await cniDirs({});
	t.teardown(dirs.remove);
	const node = await netns(t, `berth-node-${id}`);
	await run('ip', ['-n', node.name, 'link', 'set', 'lo', 'up']);
	const subnet = `10.${randomInt(100, 200)}.${randomInt(0, 256)}.0/24`;
	const dataDir = join(dirs.root, 'leases');
	const embedded = {bridge: `br${id}`, subnets: [subnet], dataDir};
	const options: CniOptions = {...dirs.options, binDirs: [...dirs.options.binDirs, PLUGIN_DIR], embedded, ...change};
	for (const [name, text] of Object.entries(files)) await writeFile(join(options.confDir, name), text);
	const cni = await openCni(options, kernelIn(node.enter), silentLog);
	t.teardown(async () => await cni.close());
	return {
		id,
		options,
		embedded,
		cni,
		node,
		dataDir,
		subnet,
		pod: async (suffix: string) => ({...plain, sandboxId: `${id}${suffix}`, netnsPath: (await netns(t, `berth-${suffix}-${id}`)).path}),
	};
}

/** The real kernel, whose programs are started by `enter`. */
function kernelIn([path = '', ...args]: readonly string[]): Kernel {
	const {kernel} = openNative();
	return {
		...kernel,
		runProgram: async (request, signal) => await kernel.runProgram({...request, path, args: [...args, request.path, ...request.args]}, signal),
	};
}

async function netns(t: ExecutionContext, name: string) {
	await run('ip', ['netns', 'add', name]);
	t.teardown(async () => await run('ip', ['netns', 'delete', name]));
	const path = `/run/netns/${name}`;
	return {name, path, enter: ['/usr/bin/nsenter', `--net=${path}`]};
}

type World = Awaited<ReturnType<typeof world>>;

/** What ADD leaves on the node: pod ends of veth pairs, leases, chains of iptables that name the pod. */
async function traces({node, dataDir, options, embedded}: World, sandboxId: string) {
	const [enter = '', ...args] = node.enter;
	const links = JSON.parse((await run('ip', ['-n', node.name, '-j', 'link', 'show', 'type', 'veth'])).stdout || '[]') as unknown[];
	const rules = (await run(enter, [...args, 'iptables-save'])).stdout
		.split('\n')
		.filter(line => line.includes(sandboxId) || /^:CNI-(?:DN-)?[0-9a-f]{16,}/.test(line));
	const leases = (await readdir(join(dataDir, embedded.bridge)).catch(() => [])).filter(name => /^[0-9.]+$/.test(name));
	return {veths: links.length, leases, rules, cached: await readdir(options.cacheDir)};
}
const nothing = {veths: 0, leases: [], rules: [], cached: []};

/** Serves `answer` by HTTP in a namespace. */
async function serve(t: ExecutionContext, netnsPath: string, answer: string): Promise<void> {
	const script = `require('node:http').createServer((_, r) => r.end(${JSON.stringify(answer)})).listen(80, '0.0.0.0', () => console.log('up'))`;
	const server = spawn('/usr/bin/nsenter', [`--net=${netnsPath}`, process.execPath, '-e', script], {stdio: ['ignore', 'pipe', 'inherit']});
	t.teardown(async () => {
		server.kill('SIGKILL');
		if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
	});
	await once(server.stdout, 'data');
}

async function fetchIn(netnsPath: string, url: string): Promise<string> {
	const script = `fetch(${JSON.stringify(url)}, {signal: AbortSignal.timeout(${patientMs(5000)})}).then(r => r.text()).then(x => process.stdout.write(x))`;
	return (await run('/usr/bin/nsenter', [`--net=${netnsPath}`, process.execPath, '-e', script])).stdout;
}

const withPort = (pod: Attachment, hostPort: number): Attachment => ({...pod, portMappings: [{protocol: 'tcp', containerPort: 80, hostPort, hostIp: ''}]});

test('a pod on the embedded network has its address, is reached by pod IP and host port, and leaves nothing', async t => {
	const it = await world(t);
	const pod = withPort(await it.pod('a'), 18_080);
	const {ips} = await it.cni.attach(pod, null);
	t.is(ips.length, 1);
	const prefix = it.subnet.replace(/0\/24$/, '');
	t.true(ips[0]!.startsWith(prefix), ips[0]);
	const addresses = (await run('nsenter', [`--net=${pod.netnsPath}`, 'ip', '-4', '-o', 'address', 'show', 'eth0'])).stdout;
	t.true(addresses.includes(`${ips[0]!}/24`), addresses);
	await serve(t, pod.netnsPath, 'from the pod');
	t.is(await fetchIn(it.node.path, `http://${ips[0]!}/`), 'from the pod');
	t.is(await fetchIn(it.node.path, `http://${prefix}1:18080/`), 'from the pod');
	t.is(await fetchIn(it.node.path, 'http://127.0.0.1:18080/'), 'from the pod');

	const other = await it.pod('b');
	const second = await it.cni.attach(other, null);
	t.not(second.ips[0], ips[0]);
	t.is(await fetchIn(other.netnsPath, `http://${ips[0]!}/`), 'from the pod');
	t.like(await traces(it, pod.sandboxId), {veths: 2, cached: [`${pod.sandboxId}.json`, `${other.sandboxId}.json`]});

	await it.cni.detach(pod);
	await it.cni.detach(pod);
	await it.cni.detach(other);
	t.deepEqual(await traces(it, pod.sandboxId), nothing);
	await t.throwsAsync(fetchIn(it.node.path, `http://${prefix}1:18080/`));
});

test('detach frees the address and the veth of a pod whose namespace is gone', async t => {
	const it = await world(t);
	const name = `berth-gone-${it.id}`;
	await run('ip', ['netns', 'add', name]);
	const pod = withPort({...plain, sandboxId: `${it.id}gone`, netnsPath: `/run/netns/${name}`}, 18_081);
	await it.cni.attach(pod, null);
	t.is((await traces(it, pod.sandboxId)).leases.length, 1);
	await run('ip', ['netns', 'delete', name]);
	await it.cni.detach(pod);
	const left = await traces(it, pod.sandboxId);
	t.like(left, {leases: [], cached: []});
	// Debian's bridge 1.1.1 forgets its masquerade chain when the namespace went first; port mappings are gone.
	t.false(
		left.rules.some(rule => rule.includes('CNI-DN-')),
		left.rules.join('\n'),
	);
});

/** The embedded chain with one more plugin at its end. */
const failing: readonly (readonly [string, string | null, object])[] = [
	[
		'fails with a report',
		'#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\necho \'{"cniVersion":"1.0.0","code":7,"msg":"bad wish","details":"mtu"}\'; exit 1\n',
		{instanceOf: FailedError, message: /"last" ADD failed: bad wish: mtu \(code 7\)/},
	],
	['hangs', '#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\nsleep 600\n', {instanceOf: TimedOutError, message: /"last" ADD did not end within \d+ ms/}],
	[
		'prints garbage',
		'#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\necho "<html>"\n',
		{instanceOf: FailedError, message: /"last" ADD printed an invalid result: not JSON: <html>/},
	],
	[
		'crashes',
		'#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\necho boom >&2; kill -SEGV $$\n',
		{instanceOf: FailedError, message: /"last" ADD exited with \d+ and no error report: boom/},
	],
	['is missing', null, {instanceOf: FailedError, message: /"last" not found in /}],
];
for (const [what, script, expected] of failing) {
	test(`a chain whose last plugin ${what} leaves no veth, lease, rule or cache file`, async t => {
		const it = await world(t, {}, {timeoutMs: patientMs(3000)});
		await useChainWithLast(it, script);
		const pod = withPort(await it.pod('f'), 18_082);
		await t.throwsAsync(it.cni.attach(pod, null), expected);
		t.like(await traces(it, pod.sandboxId), nothing);
	});
}

test('an attach that is cancelled kills the plugin with its children and leaves nothing', async t => {
	const it = await world(t);
	const mark = join(it.options.cacheDir, '..', 'pid');
	await useChainWithLast(it, `#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\nsleep 600 &\necho $! > ${mark}.tmp; mv ${mark}.tmp ${mark}\nwait\n`);
	const pod = withPort(await it.pod('c'), 18_083);
	const abort = new AbortController();
	const attaching = it.cni.attach(pod, abort.signal);
	const rejected = t.throwsAsync(attaching, {instanceOf: CancelledError});
	let pid = 0;
	for (let tries = 0; pid === 0 && tries < patientMs(500); tries++) {
		await systemClock.sleep(10);
		pid = Number(await readFile(mark, 'utf8').catch(() => '0'));
	}
	t.true(pid > 0);
	abort.abort();
	await rejected;
	t.like(await traces(it, pod.sandboxId), nothing);
	t.false(await isRunning(pid));
});

async function useChainWithLast(it: World, script: string | null): Promise<void> {
	const {bridge, subnets, dataDir} = it.embedded;
	if (script !== null) await writePlugin(join(it.options.binDirs[0]!, 'last'), script);
	await writeFile(
		join(it.options.confDir, '10.conflist'),
		conflist(
			bridge,
			{type: 'bridge', bridge, isGateway: true, ipMasq: true, ipam: {type: 'host-local', dataDir, ranges: subnets.map(subnet => [{subnet}])}},
			{type: 'portmap', capabilities: {portMappings: true}},
			{type: 'last'},
		),
	);
	// Ready before and after: with the embedded network, then with the file's. The message tells of the broken file that is read in the same pass.
	await writeFile(join(it.options.confDir, '99-marker.conf'), '');
	for (let tries = 0; !it.cni.status().message.includes('99-marker'); tries++) {
		if (tries > patientMs(500)) throw new Error('the new file is not seen');
		await systemClock.sleep(10);
	}
}

/** A zombie, which only waits for its new parent, is dead. */
async function isRunning(pid: number): Promise<boolean> {
	const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X');
	return !/\) [ZX]/.test(stat);
}
