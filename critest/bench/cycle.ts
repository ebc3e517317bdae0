import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {cpus, release} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {buildImages, PROJECT_DIR} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {startDaemon, type Daemon} from '../rig/daemon.js';
import {listRunProcesses} from '../rig/leaks.js';
import {pullBusybox, runContainer, runPod, removePod, toContainerConfig, toPodConfig, type Pod} from '../rig/pods.js';

/**
 * `make bench`: cycles of one pod with one container over the CRI, one call after the other, each timed from the client's side.
 * `--cycles N` (100), `--pods N` for memory (20), `--save NAME` keeps the numbers in critest/bench/results/NAME.json.
 */
const WARM_UP_CYCLES = 5;

const STEPS = [
	'RunPodSandbox',
	'CreateContainer',
	'StartContainer',
	'ExecSync',
	'StopContainer',
	'RemoveContainer',
	'StopPodSandbox',
	'RemovePodSandbox',
] as const;
type Step = (typeof STEPS)[number];
type Samples = Record<Step, number[]>;

interface Row {
	readonly medianMs: number;
	readonly p99Ms: number;
	readonly minMs: number;
}
interface Memory {
	readonly pods: number;
	/** Of one monitor, median: proportional set size (proc(5), smaps_rollup). */
	readonly monitorPssKiB: number;
	/** Of the one launcher of the node. */
	readonly launcherPssKiB: number;
	readonly daemonPssKiB: number;
	readonly daemonRssKiB: number;
}

async function timed<T>(samples: number[], call: () => Promise<T>): Promise<T> {
	const startMs = performance.now();
	const answer = await call();
	samples.push(performance.now() - startMs);
	return answer;
}

async function cycle(daemon: Daemon, name: string, hostNetwork: boolean, samples: Samples): Promise<void> {
	const {cri} = daemon;
	const config = await toPodConfig(daemon, name, hostNetwork);
	const {pod_sandbox_id: sandboxId} = await timed(samples.RunPodSandbox, () => cri.call('RunPodSandbox', {config}));
	const containerConfig = toContainerConfig('bench', ['sleep', 'infinity'], {stop_signal: 9});
	const create = {pod_sandbox_id: sandboxId, config: containerConfig, sandbox_config: config};
	const {container_id: id} = await timed(samples.CreateContainer, () => cri.call('CreateContainer', create));
	await timed(samples.StartContainer, () => cri.call('StartContainer', {container_id: id}));
	const {exit_code: exitCode} = await timed(samples.ExecSync, () => cri.call('ExecSync', {container_id: id, cmd: ['true']}));
	if (exitCode !== 0) throw new Error(`exec of true ended with ${exitCode}`);
	// No grace period: the time of a stop is the daemon's, not the program's.
	await timed(samples.StopContainer, () => cri.call('StopContainer', {container_id: id, timeout: 0}));
	await timed(samples.RemoveContainer, () => cri.call('RemoveContainer', {container_id: id}));
	await timed(samples.StopPodSandbox, () => cri.call('StopPodSandbox', {pod_sandbox_id: sandboxId}));
	await timed(samples.RemovePodSandbox, () => cri.call('RemovePodSandbox', {pod_sandbox_id: sandboxId}));
}

function newSamples(): Samples {
	return Object.fromEntries(STEPS.map(step => [step, []])) as unknown as Samples;
}

async function measure(daemon: Daemon, cycles: number, hostNetwork: boolean): Promise<Record<Step, Row>> {
	const warmUp = newSamples();
	for (let i = 0; i < WARM_UP_CYCLES; i++) await cycle(daemon, `warm-${String(hostNetwork)}-${i}`, hostNetwork, warmUp);
	const samples = newSamples();
	for (let i = 0; i < cycles; i++) await cycle(daemon, `bench-${String(hostNetwork)}-${i}`, hostNetwork, samples);
	return Object.fromEntries(STEPS.map(step => [step, toRow(samples[step])])) as Record<Step, Row>;
}

function toRow(values: readonly number[]): Row {
	const sorted = values.toSorted((a, b) => a - b);
	return {medianMs: round(quantile(sorted, 0.5)), p99Ms: round(quantile(sorted, 0.99)), minMs: round(sorted[0] ?? Number.NaN)};
}

/** Nearest rank. */
function quantile(sorted: readonly number[], part: number): number {
	return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

function round(ms: number): number {
	return Math.round(ms * 100) / 100;
}

async function measureMemory(daemon: Daemon, podCount: number): Promise<Memory> {
	const pods: Pod[] = [];
	for (let i = 0; i < podCount; i++) {
		const pod = await runPod(daemon, `memory-${i}`, await toPodConfig(daemon, `memory-${i}`, true));
		await runContainer(daemon.cri, pod, toContainerConfig('idle', ['sleep', 'infinity'], {stop_signal: 9}));
		pods.push(pod);
	}
	const own = [...(await listRunProcesses(daemon.places))].filter(([, cgroup]) => cgroup.endsWith('/launcher')).map(([pid]) => pid);
	const pss = await Promise.all(own.map(pid => readKiB(`/proc/${pid}/smaps_rollup`, 'Pss')));
	const parents = await Promise.all(own.map(async pid => Number((await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[1])));
	// Monitors are the launcher's children; the launcher's parent is outside.
	const monitors = pss.filter((_, i) => own.includes(parents[i] ?? 0));
	const launcher = pss.find((_, i) => !own.includes(parents[i] ?? 0)) ?? Number.NaN;
	const daemonPssKiB = await readKiB(`/proc/${daemon.pid()}/smaps_rollup`, 'Pss');
	const daemonRssKiB = await readKiB(`/proc/${daemon.pid()}/smaps_rollup`, 'Rss');
	for (const pod of pods) await removePod(daemon.cri, pod);
	return {
		pods: podCount,
		monitorPssKiB: quantile(
			monitors.toSorted((a, b) => a - b),
			0.5,
		),
		launcherPssKiB: launcher,
		daemonPssKiB,
		daemonRssKiB,
	};
}

async function readKiB(path: string, field: string): Promise<number> {
	const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(await readFile(path, 'utf8'))?.[1];
	if (found === undefined) throw new Error(`${path} has no ${field}`);
	return Number(found);
}

function print(title: string, rows: Record<Step, Row>): void {
	process.stdout.write(`\n${title}\n${'call'.padEnd(18)}${'median ms'.padStart(10)}${'p99 ms'.padStart(10)}${'min ms'.padStart(10)}\n`);
	for (const step of STEPS) {
		const {medianMs, p99Ms, minMs} = rows[step];
		process.stdout.write(`${step.padEnd(18)}${[medianMs, p99Ms, minMs].map(ms => ms.toFixed(2).padStart(10)).join('')}\n`);
	}
}

async function bench(): Promise<void> {
	const {values} = parseArgs({options: {cycles: {type: 'string', default: '100'}, pods: {type: 'string', default: '20'}, save: {type: 'string'}}});
	const cycles = Number(values.cycles);
	const registry = await openRegistry(await buildImages());
	try {
		await using daemon = await startDaemon(registry, {logLevel: 'warn'});
		await pullBusybox(daemon.cri);
		const hostNetwork = await measure(daemon, cycles, true);
		print(`${cycles} cycles, host network (no CNI)`, hostNetwork);
		const podNetwork = await measure(daemon, cycles, false);
		print(`${cycles} cycles, pod network (CNI: bridge, host-local, portmap)`, podNetwork);
		const memory = await measureMemory(daemon, Number(values.pods));
		process.stdout.write(
			`\nmemory with ${memory.pods} pods of one container: monitor ${memory.monitorPssKiB} KiB PSS each (median), launcher ${memory.launcherPssKiB} KiB PSS, ` +
				`daemon ${(memory.daemonPssKiB / 1024).toFixed(1)} MiB PSS (${(memory.daemonRssKiB / 1024).toFixed(1)} MiB RSS)\n`,
		);
		const leaks = await daemon.leaks();
		if (leaks.length > 0) throw new Error(`left behind:\n${leaks.join('\n')}`);
		if (values.save !== undefined) await save(values.save, {cycles, hostNetwork, podNetwork, memory});
	} finally {
		await registry.close();
	}
}

async function save(name: string, results: object): Promise<void> {
	const directory = join(PROJECT_DIR, 'critest/bench/results');
	await mkdir(directory, {recursive: true});
	const machine = {cpus: cpus().length, kernel: release(), node: process.version};
	await writeFile(join(directory, `${name}.json`), `${JSON.stringify({machine, ...results}, null, '\t')}\n`);
}

await bench();
