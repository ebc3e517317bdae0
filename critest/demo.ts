import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buildImages} from './fixtures/images.js';
import {openRegistry} from './fixtures/registry.js';
import {startDaemon, type Daemon} from './rig/daemon.js';
import {until} from './rig/pods.js';

/** `make demo`: what an operator would do by hand with crictl, each command shown, each answer checked. */
const NGINX = 'docker.io/library/nginx:latest';
const BUSYBOX = 'docker.io/library/busybox:latest';
const HOST_PORT = 18_080;
const PAGE = 'Welcome to nginx!';

function say(text: string): void {
	process.stdout.write(`${text}\n`);
}

/** Runs crictl, shows command and answer. @returns its stdout. @throws when it fails. */
async function crictl(daemon: Daemon, ...args: readonly string[]): Promise<string> {
	say(`\n$ crictl ${args.join(' ')}`);
	const {exitCode, stdout, stderr} = await daemon.crictl(args);
	if (exitCode !== 0) throw new Error(`crictl ${args.join(' ')}: exit code ${exitCode}: ${stderr}`);
	say(stdout.trimEnd());
	return stdout.trim();
}

function assertHas(text: string, wanted: string, where: string): void {
	if (!text.includes(wanted)) throw new Error(`${where} lacks "${wanted}":\n${text}`);
}

async function writeJson(daemon: Daemon, name: string, content: object): Promise<string> {
	const path = join(daemon.places.scratchDir, name);
	await writeFile(path, JSON.stringify(content, null, '\t'));
	return path;
}

async function writeConfigs(daemon: Daemon): Promise<{readonly pod: string; readonly web: string; readonly client: string}> {
	const logDirectory = join(daemon.places.scratchDir, 'logs');
	await mkdir(logDirectory, {recursive: true});
	return {
		pod: await writeJson(daemon, 'pod.json', {
			metadata: {name: 'demo', uid: 'demo-uid', namespace: 'default', attempt: 0},
			hostname: 'demo',
			log_directory: logDirectory,
			port_mappings: [{protocol: 0, container_port: 80, host_port: HOST_PORT}],
			linux: {},
		}),
		web: await writeJson(daemon, 'web.json', {metadata: {name: 'web'}, image: {image: NGINX}, log_path: 'web.log', linux: {}}),
		client: await writeJson(daemon, 'client.json', {
			metadata: {name: 'client'},
			image: {image: BUSYBOX},
			command: ['sh', '-c', 'while true; do wget -q -O - http://localhost/; sleep 1; done'],
			log_path: 'client.log',
			linux: {resources: {memory_limit_in_bytes: 64 * 1024 * 1024}},
		}),
	};
}

async function fetchPage(url: string): Promise<void> {
	const answer = await until(
		`an answer from ${url}`,
		() => get(url),
		text => text !== null,
	);
	say(`\n$ GET ${url}\n${(answer ?? '').trimEnd()}`);
	assertHas(answer ?? '', PAGE, url);
}

/** null while nobody listens. */
async function get(url: string): Promise<string | null> {
	try {
		const response = await fetch(url, {signal: AbortSignal.timeout(5000)});
		return `${response.status} ${await response.text()}`;
	} catch {
		return null;
	}
}

async function runPod(daemon: Daemon): Promise<void> {
	await crictl(daemon, 'version');
	for (const image of [NGINX, BUSYBOX]) await crictl(daemon, 'pull', image);
	await crictl(daemon, 'images');
	const configs = await writeConfigs(daemon);
	const pod = await crictl(daemon, 'runp', configs.pod);
	const web = await crictl(daemon, 'create', pod, configs.web, configs.pod);
	const client = await crictl(daemon, 'create', pod, configs.client, configs.pod);
	for (const container of [web, client]) await crictl(daemon, 'start', container);
	const ip = await crictl(daemon, 'inspectp', '--output', 'go-template', '--template', '{{.status.network.ip}}', pod);
	if (!/^\d+\.\d+\.\d+\.\d+$/.test(ip)) throw new Error(`the pod has no IP: "${ip}"`);
	say(`\nThe pod's IP is ${ip}.`);
	await fetchPage(`http://${ip}/`);
	await fetchPage(`http://127.0.0.1:${HOST_PORT}/`);
	await until(
		'nginx logs what it served',
		async () => (await daemon.crictl(['logs', web])).stdout,
		text => text.includes('GET / HTTP'),
	);
	await until(
		'the client logs the page',
		async () => (await daemon.crictl(['logs', client])).stdout,
		text => text.includes(PAGE),
	);
	await crictl(daemon, 'logs', '--tail', '3', web);
	await crictl(daemon, 'logs', '--tail', '3', client);
	assertHas(await crictl(daemon, 'exec', client, 'sh', '-c', 'echo "exec on $(hostname)"; ps'), 'exec on demo', 'exec');
	assertHas(await crictl(daemon, 'exec', '--sync', web, 'cat', '/etc/nginx/conf.d/default.conf'), 'listen 80', 'exec --sync');
	assertHas(await crictl(daemon, 'stats'), web.slice(0, 13), 'stats');
	assertHas(await crictl(daemon, 'ps'), web.slice(0, 13), 'ps');
	assertHas(await crictl(daemon, 'pods'), 'Ready', 'pods');
	for (const container of [client, web]) await crictl(daemon, 'stop', '--timeout', '2', container);
	for (const container of [client, web]) await crictl(daemon, 'rm', container);
	await crictl(daemon, 'stopp', pod);
	await crictl(daemon, 'rmp', pod);
}

async function demo(): Promise<void> {
	const registry = await openRegistry(await buildImages());
	try {
		await using daemon = await startDaemon(registry);
		say(`berth serves on ${daemon.places.socket} (pid ${daemon.pid()})`);
		await runPod(daemon);
		const leaks = await daemon.leaks();
		if (leaks.length > 0) throw new Error(`left behind:\n${leaks.join('\n')}`);
		say('\nNothing is left: no record, process, cgroup, network namespace, mount, link, lease, rule or layer.');
	} finally {
		await registry.close();
	}
}

try {
	await demo();
	say('demo: success');
} catch (error) {
	process.stderr.write(`demo: FAILED: ${(error as Error).stack ?? String(error)}\n`);
	process.exitCode = 1;
}
