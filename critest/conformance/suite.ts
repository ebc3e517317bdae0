import {spawn} from 'node:child_process';
import {chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Format} from '../fixtures/content.js';
import {buildImages, PINNED_REPOSITORY, PROJECT_DIR, type RegistryContent} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {runOk} from '../rig/command.js';
import {removePods, startDaemon, TOOLS_DIR, type Daemon, type DaemonChoices} from '../rig/daemon.js';
import {differences, hasAppArmor, hasIdMappedTmpfs, readSpecNames} from './expected.js';
import {toOutcomes, type Outcomes} from './report.js';

/** The one digest that critest names itself: of an image that only its authors' registry has. */
const PINNED_DIGEST = '9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf';
/** A directory for each run below it: two at once do not meet. The daemon's log and the report of one that failed stay there. */
const REPORT_DIR = join(PROJECT_DIR, '.cache/critest');

/** A copy of critest that asks for our image of the same name instead. @throws when it does not name the digest exactly once. */
async function patchCritest(content: RegistryContent, to: string, say: (text: string) => void): Promise<void> {
	const digest = content.tags.get(`${PINNED_REPOSITORY}:latest`)?.digest.slice('sha256:'.length);
	if (digest?.length !== PINNED_DIGEST.length) throw new Error(`no image ${PINNED_REPOSITORY}:latest to pin`);
	const from = join(TOOLS_DIR, 'critest');
	const bytes = await readFile(from);
	const at = bytes.indexOf(PINNED_DIGEST);
	if (at < 0 || bytes.indexOf(PINNED_DIGEST, at + 1) >= 0) throw new Error(`${from} does not name ${PINNED_DIGEST} exactly once`);
	bytes.write(digest, at, 'latin1');
	await copyFile(from, to);
	await writeFile(to, bytes);
	await chmod(to, 0o755);
	say(
		`critest v1.36.0, a patched copy: offline, the image that it pins by digest cannot be had or rebuilt, so these 64 digits\n  ${PINNED_DIGEST}\n` +
			`are replaced by those of the local ${PINNED_REPOSITORY}:\n  ${digest}\nNothing else is changed.\n`,
	);
}

/** Flags of critest for the choices. */
function toFlags({transport = 'spdy', runtimeHandler = '', parallel = 1, seed = null, args}: SuiteChoices): readonly string[] {
	return [
		...(transport === 'websocket' ? ['--websocket-exec', '--websocket-attach', '--websocket-portforward'] : []),
		...(runtimeHandler === '' ? [] : ['--runtime-handler', runtimeHandler]),
		...(parallel > 1 ? [`--parallel=${parallel}`] : []),
		...(seed === null ? [] : ['--ginkgo.randomize-all', `--ginkgo.seed=${seed}`]),
		...args,
	];
}

async function runCritest(daemon: Daemon, dir: string, choices: SuiteChoices): Promise<number | null> {
	const endpoint = `unix://${daemon.places.socket}`;
	const flags = ['--runtime-endpoint', endpoint, '--image-endpoint', endpoint, '--ginkgo.json-report', join(dir, 'report.json'), '--ginkgo.no-color'];
	// critest leaves temporary directories and bind mounts of failed specs: below this they are found and taken away.
	const env = {...process.env, TMPDIR: daemon.places.scratchDir, PATH: `${TOOLS_DIR}:${process.env['PATH'] ?? ''}`};
	const output = choices.quiet ? 'ignore' : 'inherit';
	const child = spawn(join(dir, 'critest'), [...flags, ...toFlags(choices)], {cwd: dir, env, stdio: ['ignore', output, output]});
	return await new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
}

/** The default handler must: that it does not is a difference. */
async function announcesUserNamespaces(daemon: Daemon, handler: string): Promise<boolean> {
	if (handler === '') return true;
	const {runtime_handlers: handlers} = await daemon.cri.call('Status', {});
	return handlers.find(({name}) => name === handler)?.features?.user_namespaces ?? false;
}

/** SysV segments by id; a full run leaves two that its host-IPC specs made. */
async function listSharedMemory(): Promise<ReadonlySet<string>> {
	const lines = (await readFile('/proc/sysvipc/shm', 'utf8')).trimEnd().split('\n').slice(1);
	return new Set(lines.map(line => line.trim().split(/\s+/)[1] ?? ''));
}

async function removeNewSharedMemory(before: ReadonlySet<string>): Promise<void> {
	for (const id of await listSharedMemory()) if (!before.has(id)) await runOk(['ipcrm', '-m', id]);
}

export interface SuiteChoices {
	/** Media types of the images; null: both in turn. */
	readonly format: Format | null;
	/** What carries exec, attach and port-forward; default SPDY. */
	readonly transport?: 'spdy' | 'websocket';
	/** Default: the one named "". */
	readonly runtimeHandler?: string;
	/** Processes of critest's that run specs at once; default 1. */
	readonly parallel?: number;
	/** Of a random order; null (default): the order of the source. */
	readonly seed?: number | null;
	/** Of the daemon, such as the runtime handlers that it has. */
	readonly daemon?: DaemonChoices;
	/** More flags of critest. */
	readonly args: readonly string[];
	/** Says nothing of its own or of critest's. */
	readonly quiet: boolean;
}
export interface SuiteResult {
	/** Of critest. */
	readonly exitCode: number | null;
	readonly outcomes: Outcomes;
	/** How they differ from what they must be on this machine; [] = not at all. */
	readonly differences: readonly string[];
	/** What is left once every pod is removed. */
	readonly leaks: readonly string[];
}

/** The CRI conformance suite against a fresh daemon and a registry of its own. */
export async function runSuite(choices: SuiteChoices): Promise<SuiteResult> {
	await mkdir(REPORT_DIR, {recursive: true});
	const dir = await mkdtemp(join(REPORT_DIR, 'run-'));
	const content = await buildImages(choices.format);
	await patchCritest(content, join(dir, 'critest'), text => void (choices.quiet || process.stdout.write(text)));
	await writeFile(join(dir, 'report.json'), '[]');
	const registry = await openRegistry(content);
	const sharedMemory = await listSharedMemory();
	try {
		await using daemon = await startDaemon(registry, choices.daemon);
		const exitCode = await runCritest(daemon, dir, choices);
		await copyFile(daemon.places.daemonLog, join(dir, 'daemon.log'));
		const outcomes = toOutcomes(await readFile(join(dir, 'report.json'), 'utf8'));
		await removePods(daemon.cri);
		const leaks = await daemon.leaks();
		const partial = choices.args.some(arg => /^--?ginkgo\.(?:focus|skip|label-filter)/.test(arg));
		const machine = {
			apparmor: await hasAppArmor(),
			idMappedTmpfs: hasIdMappedTmpfs(),
			userNamespaces: await announcesUserNamespaces(daemon, choices.runtimeHandler ?? ''),
		};
		const differ = differences(outcomes, machine, partial ? null : await readSpecNames());
		if (exitCode === 0 && leaks.length === 0 && differ.length === 0) await rm(dir, {recursive: true, force: true});
		return {exitCode, outcomes, differences: differ, leaks};
	} finally {
		await removeNewSharedMemory(sharedMemory);
		await registry.close();
	}
}
