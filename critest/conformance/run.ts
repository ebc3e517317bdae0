import {spawn} from 'node:child_process';
import {chmod, copyFile, mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buildImages, PINNED_REPOSITORY, PROJECT_DIR, type RegistryContent} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {runOk} from '../rig/command.js';
import {removePods, startDaemon, TOOLS_DIR, type Daemon} from '../rig/daemon.js';
import {toOutcomes, type Outcome, type Outcomes} from './report.js';

/** `make critest`: the CRI conformance suite against a fresh daemon. Arguments go to critest (`--ginkgo.focus=…`, `--parallel 4`). */

/** The one digest that critest names itself: of an image that only its authors' registry has. */
const PINNED_DIGEST = '9700f9a2f5bf2c45f2f605a0bd3bce7cf37420ec9d3ed50ac2758413308766bf';
const REPORT_DIR = join(PROJECT_DIR, '.cache/critest');

/** A copy of critest that asks for our image of the same name instead. @throws when it does not name the digest exactly once. */
async function patchCritest(content: RegistryContent, to: string): Promise<void> {
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
	process.stdout.write(
		`critest v1.36.0, a patched copy: offline, the image that it pins by digest cannot be had or rebuilt, so these 64 digits\n  ${PINNED_DIGEST}\n` +
			`are replaced by those of the local ${PINNED_REPOSITORY}:\n  ${digest}\nNothing else is changed.\n`,
	);
}

async function runCritest(daemon: Daemon, binary: string, report: string, args: readonly string[]): Promise<number | null> {
	const endpoint = `unix://${daemon.places.socket}`;
	const flags = ['--runtime-endpoint', endpoint, '--image-endpoint', endpoint, '--ginkgo.json-report', report, '--ginkgo.no-color'];
	// critest leaves temporary directories and bind mounts of failed specs: below this they are found and taken away.
	const env = {...process.env, TMPDIR: daemon.places.scratchDir, PATH: `${TOOLS_DIR}:${process.env['PATH'] ?? ''}`};
	const child = spawn(binary, [...flags, ...args], {cwd: REPORT_DIR, env, stdio: ['ignore', 'inherit', 'inherit']});
	return await new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
}

/** SysV segments by id; a full run leaves two that its host-IPC specs made. */
async function listSharedMemory(): Promise<ReadonlySet<string>> {
	const lines = (await readFile('/proc/sysvipc/shm', 'utf8')).trimEnd().split('\n').slice(1);
	return new Set(lines.map(line => line.trim().split(/\s+/)[1] ?? ''));
}

async function removeNewSharedMemory(before: ReadonlySet<string>): Promise<void> {
	for (const id of await listSharedMemory()) if (!before.has(id)) await runOk(['ipcrm', '-m', id]);
}

function printOutcomes(outcomes: Outcomes): void {
	const list = (title: string, specs: readonly Outcome[]): void => {
		process.stdout.write(`\n${title} (${specs.length})\n`);
		for (const {name, reason} of specs) process.stdout.write(`  ${name}${reason === '' ? '' : `\n      ${reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`}\n`);
	};
	list('passed', outcomes.passed);
	list('skipped', outcomes.skipped);
	list('failed', outcomes.failed);
	process.stdout.write(`\n${outcomes.passed.length} passed, ${outcomes.failed.length} failed, ${outcomes.skipped.length} skipped\n`);
}

async function conformance(): Promise<void> {
	await mkdir(REPORT_DIR, {recursive: true});
	const content = await buildImages();
	const binary = join(REPORT_DIR, 'critest');
	await patchCritest(content, binary);
	const report = join(REPORT_DIR, 'report.json');
	await writeFile(report, '[]');
	const registry = await openRegistry(content);
	const sharedMemory = await listSharedMemory();
	try {
		await using daemon = await startDaemon(registry);
		const exitCode = await runCritest(daemon, binary, report, process.argv.slice(2));
		await copyFile(daemon.places.daemonLog, join(REPORT_DIR, 'daemon.log'));
		const outcomes = toOutcomes(await readFile(report, 'utf8'));
		printOutcomes(outcomes);
		await removePods(daemon.cri);
		const leaks = await daemon.leaks();
		if (leaks.length > 0) process.stdout.write(`\nleft behind:\n${leaks.join('\n')}\n`);
		process.exitCode = exitCode === 0 && outcomes.failed.length === 0 && outcomes.passed.length > 0 && leaks.length === 0 ? 0 : 1;
	} finally {
		await removeNewSharedMemory(sharedMemory);
		await registry.close();
	}
}

await conformance();
