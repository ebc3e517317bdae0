import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {cpus, release} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {_runtime_v1_SecurityProfile_ProfileType as ProfileType} from '../../proto/gen/runtime/v1/SecurityProfile.js';
import type {ContainerConfig} from '../../proto/cri.js';
import {buildImages, PROJECT_DIR} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {runOk} from '../rig/command.js';
import {startDaemon, type Daemon} from '../rig/daemon.js';
import {createContainer, pullBusybox, runPodBy, toContainerConfig, type Pod} from '../rig/pods.js';
import {openStartClient, type StartClient} from './client/client.js';
import {openRuntimeRunner, type RuntimeRunner} from './peers/runtime.js';

/**
 * `make bench-start`: start of a container in a pod that there is. Natively (CreateContainer and StartContainer over the CRI, seen by a Go client) against
 * `crun run --detach` and `runc run --detach` of the same container, in turn in the same run: same layers, mounts, capabilities, seccomp and limits, the pod's namespaces.
 * The peers' overlay is mounted before their time begins. For information the daemon with its handlers of crun and runc.
 * `--rounds N` (100), `--save NAME` keeps the numbers in critest/bench/results/NAME.json.
 */
const WARM_UP_ROUNDS = 5;
const BINARIES = {crun: '/usr/bin/crun', runc: '/usr/sbin/runc'} as const;
/** Native's median is at most this part of crun's. */
const TARGET_RATIO = 0.2;
const MIB = 1024 * 1024;
const RUNTIME = Object.entries(BINARIES)
	.map(([name, path]) => `[runtime.handlers.${name}]\ntype = "oci"\npath = "${path}"\n`)
	.join('');
const ROWS = ['native', 'crun run', 'runc run', 'berth with crun', 'berth with runc'] as const;
type RowName = (typeof ROWS)[number];
type Samples = Record<RowName, number[]>;
interface Row {
	readonly medianMs: number;
	readonly p99Ms: number;
	readonly minMs: number;
}

function containerConfig(volume: string): ContainerConfig {
	return toContainerConfig('bench', ['sleep', 'infinity'], {
		mounts: [{host_path: volume, container_path: '/data'}],
		linux: {
			resources: {memory_limit_in_bytes: String(64 * MIB), cpu_shares: '512', cpu_period: '100000', cpu_quota: '50000', oom_score_adj: '500'},
			security_context: {seccomp: {profile_type: ProfileType.RuntimeDefault}, namespace_options: {pid: 1}, masked_paths: MASKED, readonly_paths: READONLY},
		},
	} as never);
}
/** As the kubelet asks for them. */
const MASKED = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/sched_debug', '/proc/scsi', '/sys/firmware'];
const READONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
const RESOURCES = {memory: {limit: 64 * MIB, swap: 64 * MIB}, cpu: {shares: 512, period: 100_000, quota: 50_000}};

type Handler = '' | 'crun' | 'runc';
interface Bench {
	readonly clients: Readonly<Record<Handler, StartClient>>;
	readonly runner: RuntimeRunner;
}

async function round({clients, runner}: Bench, samples: Samples): Promise<void> {
	samples.native.push(await clients[''].start());
	samples['crun run'].push(await runner.run(BINARIES.crun));
	samples['runc run'].push(await runner.run(BINARIES.runc));
	samples['berth with crun'].push(await clients.crun.start());
	samples['berth with runc'].push(await clients.runc.start());
}

/** The peers' container, from one that the daemon has crun make. */
async function openRunner(
	daemon: Daemon,
	pods: Readonly<Record<Handler, Pod>>,
	{config, volume}: {readonly config: ContainerConfig; readonly volume: string},
): Promise<RuntimeRunner> {
	const {places, cri} = daemon;
	const id = await createContainer(cri, pods.crun, config);
	const files = join(places.rootDir, 'sandboxes', pods[''].id);
	const shm = join(places.scratchDir, 'shm');
	await mkdir(shm, {recursive: true});
	const info = async (name: 'ContainerStatus' | 'PodSandboxStatus', request: object): Promise<{readonly pid: number}> =>
		JSON.parse((await cri.call(name, {...request, verbose: true} as never)).info['info'] ?? '') as {readonly pid: number};
	const {pid} = await info('ContainerStatus', {container_id: id});
	const runner = await openRuntimeRunner(join(places.scratchDir, 'bundle'), {
		configFile: join(places.runDir, 'pods', pods.crun.id, 'oci', id, 'config.json'),
		sources: {
			'/etc/hosts': join(files, 'hosts'),
			'/etc/hostname': join(files, 'hostname'),
			'/etc/resolv.conf': join(files, 'resolv.conf'),
			'/dev/shm': shm,
			'/data': volume,
		},
		namespacePid: (await info('PodSandboxStatus', {pod_sandbox_id: pods[''].id})).pid,
		cgroupPath: `${places.cgroupRoot}/bench`,
		resources: RESOURCES,
		lowerDirs: await readLowerDirs(pid),
	});
	await cri.call('RemoveContainer', {container_id: id});
	return runner;
}

/** Of the overlay at a container's root. */
async function readLowerDirs(pid: number): Promise<readonly string[]> {
	const root = (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).split('\n').find(line => line.split(' ')[4] === '/' && line.includes(' - overlay '));
	const options = root?.split(' - ')[1]?.split(' ')[2]?.split(',') ?? [];
	const lower = options.flatMap(option => /^lowerdir\+?=(.*)$/.exec(option)?.[1]?.split(':') ?? []);
	if (lower.length === 0) throw new Error(`no overlay at the root of process ${pid}`);
	return lower;
}

function toRow(values: readonly number[]): Row {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (part: number): number =>
		Math.round((sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))] ?? Number.NaN) * 100) / 100;
	return {medianMs: at(0.5), p99Ms: at(0.99), minMs: at(0)};
}

function report(rounds: number, rows: Record<RowName, Row>): {readonly ratioToCrun: number; readonly ratioToRunc: number; readonly verdict: string} {
	process.stdout.write(`\n${rounds} starts each, in turn\n${''.padEnd(18)}${'median ms'.padStart(10)}${'p99 ms'.padStart(10)}${'min ms'.padStart(10)}\n`);
	for (const name of ROWS) {
		const {medianMs, p99Ms, minMs} = rows[name];
		process.stdout.write(`${name.padEnd(18)}${[medianMs, p99Ms, minMs].map(ms => ms.toFixed(2).padStart(10)).join('')}\n`);
	}
	const ratio = (peer: RowName): number => Math.round((rows.native.medianMs / rows[peer].medianMs) * 1000) / 1000;
	const verdict = ratio('crun run') <= TARGET_RATIO ? 'met' : 'missed';
	process.stdout.write(
		`native to crun run: ${ratio('crun run')} of its median (target at most ${TARGET_RATIO}: ${verdict}); to runc run: ${ratio('runc run')}\n`,
	);
	return {ratioToCrun: ratio('crun run'), ratioToRunc: ratio('runc run'), verdict};
}

const newSamples = (): Samples => Object.fromEntries(ROWS.map(name => [name, []])) as unknown as Samples;

async function bench(): Promise<void> {
	const {values} = parseArgs({options: {rounds: {type: 'string', default: '100'}, save: {type: 'string'}}});
	const rounds = Number(values.rounds);
	const registry = await openRegistry(await buildImages());
	try {
		await using daemon = await startDaemon(registry, {logLevel: 'warn', runtime: RUNTIME});
		await pullBusybox(daemon.cri);
		const volume = join(daemon.places.scratchDir, 'volume');
		await mkdir(volume, {recursive: true});
		const config = containerConfig(volume);
		const run = (handler: string): Promise<Pod> => runPodBy(daemon, handler, {name: `bench-${handler}`});
		const pods = {'': await run(''), crun: await run('crun'), runc: await run('runc')};
		await using runner = await openRunner(daemon, pods, {config, volume});
		const open = (handler: Handler): StartClient =>
			openStartClient(daemon.places.socket, {pod_sandbox_id: pods[handler].id, config, sandbox_config: pods[handler].config});
		await using native = open('');
		await using crun = open('crun');
		await using runc = open('runc');
		const parts: Bench = {clients: {'': native, crun, runc}, runner};
		for (let i = 0; i < WARM_UP_ROUNDS; i++) await round(parts, newSamples());
		const samples = newSamples();
		for (let i = 0; i < rounds; i++) await round(parts, samples);
		const rows = Object.fromEntries(ROWS.map(name => [name, toRow(samples[name])])) as Record<RowName, Row>;
		const summary = report(rounds, rows);
		if (values.save !== undefined) await save(values.save, {rounds, rows, ...summary});
	} finally {
		await registry.close();
	}
}

async function save(name: string, results: object): Promise<void> {
	const versions = await Promise.all(Object.values(BINARIES).map(async path => (await runOk([path, '--version'])).split('\n')[0] ?? ''));
	const machine = {cpus: cpus().length, kernel: release(), node: process.version, peers: versions};
	await writeFile(join(PROJECT_DIR, 'critest/bench/results', `${name}.json`), `${JSON.stringify({machine, ...results}, null, '\t')}\n`);
}

await bench();
