import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {cpus, release, totalmem} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {systemClock} from '../../base/clock.js';
import {HOSTS, PROJECT_DIR} from '../fixtures/images.js';
import {runOk} from '../rig/command.js';
import type {CriClient} from '../rig/cri-client.js';
import {startDaemon} from '../rig/daemon.js';
import {startContainerd} from './peers/containerd.js';
import {openBenchRegistry, REPOSITORY, type ImageFacts} from './pull-image.js';
import {openOwnDisk} from './own-disk.js';
import {watchProcess, type Consumption} from './process-watch.js';
import {medianOf, toReport, type Comparison} from './pull-report.js';

/**
 * `make bench-pull`: pulls of one image by berth and by containerd in turn, over the CRI, from one docker-registry on loopback.
 * `--rounds N` (5, after one of each that does not count), `--rows NAME,…` (all), `--save NAME` keeps the numbers in critest/bench/results/NAME.json.
 */
interface Row {
	readonly name: string;
	readonly tag: 'gzip' | 'zstd';
	readonly onTmpfs: boolean;
	readonly peerSyncs: boolean;
	/** Of berth's time to containerd's; null = for information. */
	readonly targetRatio: number | null;
}
const ROWS: readonly Row[] = [
	{name: 'gzip', tag: 'gzip', onTmpfs: false, peerSyncs: false, targetRatio: 0.8},
	{name: 'zstd', tag: 'zstd', onTmpfs: false, peerSyncs: false, targetRatio: null},
	{name: 'gzip-peer-syncs', tag: 'gzip', onTmpfs: false, peerSyncs: true, targetRatio: null},
	{name: 'gzip-tmpfs', tag: 'gzip', onTmpfs: true, peerSyncs: false, targetRatio: null},
];
const PULL_TIMEOUT_MS = 600_000;
const REMOVAL_TIMEOUT_MS = 120_000;
const HOST = HOSTS[0];

interface Runtime extends AsyncDisposable {
	readonly cri: CriClient;
	readonly pid: number;
	/** Where a directory per unpacked layer is. */
	readonly layersDir: string;
}

async function openRuntimes(
	row: Row,
	mirror: string,
	diskDir: string,
): Promise<{readonly berth: Runtime; readonly containerd: Runtime; readonly version: string}> {
	const daemon = await startDaemon({url: mirror}, {logLevel: 'warn', rootDir: join(diskDir, 'berth-root')});
	try {
		const peer = await startContainerd({parentDir: diskDir, registryHost: HOST, mirror, syncFs: row.peerSyncs});
		return {
			berth: {cri: daemon.cri, pid: daemon.pid(), layersDir: join(daemon.places.rootDir, 'layers'), [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]()},
			containerd: {...peer, layersDir: join(peer.rootDir, 'io.containerd.snapshotter.v1.overlayfs/snapshots')},
			version: peer.version,
		};
	} catch (error) {
		await daemon[Symbol.asyncDispose]();
		throw error;
	}
}

/** One pull into an empty store, from a disk at rest; the image is gone again afterwards. */
async function pullOnce(runtime: Runtime, image: string, facts: ImageFacts): Promise<Consumption> {
	// What the other runtime left dirty is not this one's to write.
	await runOk(['sync'], {timeoutMs: REMOVAL_TIMEOUT_MS});
	const watch = await watchProcess(runtime.pid);
	await runtime.cri.image('PullImage', {image: {image}}, PULL_TIMEOUT_MS);
	const consumption = await watch.end();
	const layers = await countLayers(runtime);
	if (layers !== facts.layers) throw new Error(`${layers} layers are unpacked, not ${facts.layers}`);
	await runtime.cri.image('RemoveImage', {image: {image}}, REMOVAL_TIMEOUT_MS);
	await untilEmpty(runtime);
	return consumption;
}

async function countLayers({layersDir}: Runtime): Promise<number> {
	return (await readdir(layersDir)).filter(name => /^\d+$/.test(name)).length;
}

/** A layer that was still there would not be fetched again. */
async function untilEmpty(runtime: Runtime): Promise<void> {
	const endMs = systemClock.monotonicMs() + REMOVAL_TIMEOUT_MS;
	while ((await countLayers(runtime)) > 0) {
		if (systemClock.monotonicMs() > endMs) throw new Error(`layers are left after RemoveImage in ${runtime.layersDir}`);
		await systemClock.sleep(100);
	}
}

async function compare(row: Row, rounds: number, {mirror, facts}: {readonly mirror: string; readonly facts: ImageFacts}): Promise<Comparison> {
	await using disk = row.onTmpfs ? null : await openOwnDisk();
	const opened = await openRuntimes(row, mirror, disk?.dir ?? '/dev/shm');
	await using berth = opened.berth;
	await using containerd = opened.containerd;
	const image = `${HOST}/${REPOSITORY}:${row.tag}`;
	const samples: {readonly berth: Consumption[]; readonly containerd: Consumption[]} = {berth: [], containerd: []};
	for (let round = 0; round <= rounds; round++) {
		const order = round % 2 === 0 ? (['berth', 'containerd'] as const) : (['containerd', 'berth'] as const);
		for (const name of order) {
			const consumption = await pullOnce(name === 'berth' ? berth : containerd, image, facts);
			samples[name].push(consumption);
		}
	}
	return {name: row.name, containerdVersion: opened.version, targetRatio: row.targetRatio, ...samples};
}

async function save(name: string, results: object): Promise<void> {
	const directory = join(PROJECT_DIR, 'critest/bench/results');
	await mkdir(directory, {recursive: true});
	const machine = {cpus: cpus().length, model: cpus()[0]?.model ?? '', memoryMiB: Math.round(totalmem() / 2 ** 20), kernel: release(), node: process.version};
	await writeFile(join(directory, `${name}.json`), `${JSON.stringify({machine, ...results}, null, '\t')}\n`);
}

async function bench(): Promise<void> {
	const {values} = parseArgs({options: {rounds: {type: 'string', default: '5'}, rows: {type: 'string'}, save: {type: 'string'}}});
	const wanted = values.rows?.split(',') ?? ROWS.map(({name}) => name);
	const unknown = wanted.filter(name => !ROWS.some(row => row.name === name));
	if (unknown.length > 0) throw new Error(`no row ${unknown.join(', ')}: there are ${ROWS.map(({name}) => name).join(', ')}`);
	const {registry, facts} = await openBenchRegistry();
	await using _ = registry;
	const compressed = Object.entries(facts.compressedBytes).map(([kind, bytes]) => `${Math.round(bytes / 1e6)} MB as ${kind}`);
	process.stdout.write(
		`image: ${facts.layers} layers, ${facts.files} files, ${Math.round(facts.contentBytes / 1e6)} MB uncompressed, ${compressed.join(', ')}\n`,
	);
	const comparisons: Comparison[] = [];
	for (const row of ROWS.filter(({name}) => wanted.includes(name))) {
		const comparison = await compare(row, Number(values.rounds), {mirror: registry.url, facts});
		process.stdout.write(toReport(comparison));
		comparisons.push(comparison);
	}
	const ratios = comparisons.map(({name, berth, containerd}) => [
		name,
		Number((medianOf(berth, ({ms}) => ms) / medianOf(containerd, ({ms}) => ms)).toFixed(3)),
	]);
	if (values.save !== undefined) await save(values.save, {image: facts, rounds: Number(values.rounds), ratios: Object.fromEntries(ratios), comparisons});
}

await bench();
