import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {toolCommand} from '../fixtures/docker-registry.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {runOk} from '../rig/command.js';

/** All facts of each file, by path below the root: see describe-tree.py. */
export type Tree = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export async function describeTree(root: string): Promise<Tree> {
	return JSON.parse(await runOk(['python3', join(PROJECT_DIR, 'critest/images/describe-tree.py'), root], {timeoutMs: 120_000})) as Tree;
}

export interface RegistryAccess {
	/** docker://host/repository:tag without the scheme. */
	readonly reference: string;
	readonly user: string;
	readonly password: string;
	/** Holds ca.crt. */
	readonly certDir: string;
}

/** What skopeo copies from the registry and umoci unpacks: the image as others see it. */
export async function unpackByOthers(access: RegistryAccess, dir: string): Promise<Tree> {
	const layout = join(dir, 'layout');
	await skopeo(dir, ['copy', ...accessFlags(access, 'src-'), `docker://${access.reference}`, `oci:${layout}:image`]);
	await runTool('umoci', ['unpack', '--image', `${layout}:image`, join(dir, 'bundle')]);
	return await describeTree(join(dir, 'bundle/rootfs'));
}

/** The bytes of the manifest or index that the registry has, by skopeo. */
export async function inspectRaw(access: RegistryAccess, dir: string): Promise<Buffer> {
	return Buffer.from(await skopeo(dir, ['inspect', '--raw', ...accessFlags(access, ''), `docker://${access.reference}`]));
}

function accessFlags({user, password, certDir}: RegistryAccess, prefix: string): readonly string[] {
	return [`--${prefix}creds`, `${user}:${password}`, `--${prefix}cert-dir`, certDir];
}

async function skopeo(dir: string, args: readonly string[]): Promise<string> {
	await mkdir(dir, {recursive: true});
	const policy = join(dir, 'policy.json');
	await writeFile(policy, '{"default": [{"type": "insecureAcceptAnything"}]}');
	return await runTool('skopeo', ['--policy', policy, '--tmpdir', dir, ...args]);
}

async function runTool(tool: 'skopeo' | 'umoci', args: readonly string[]): Promise<string> {
	const {argv, env} = toolCommand(tool, args);
	return await runOk(argv, {env, timeoutMs: 120_000});
}

/** What a container of the image would see: the daemon's layers, lowest first in `diffIds`, under one overlay mount that is read only. */
export async function describeLayers(rootDir: string, diffIds: readonly string[], mountPoint: string): Promise<Tree> {
	const dirs = await findLayerDirs(rootDir);
	const lower = diffIds.map(diffId => {
		const dir = dirs.get(diffId);
		if (dir === undefined) throw new Error(`the daemon has no layer ${diffId}`);
		return dir;
	});
	await mkdir(mountPoint, {recursive: true});
	await runOk(['mount', '-t', 'overlay', '-o', `ro,lowerdir=${lower.toReversed().join(':')}`, 'overlay', mountPoint]);
	try {
		return await describeTree(mountPoint);
	} finally {
		await runOk(['umount', mountPoint]);
	}
}

async function findLayerDirs(rootDir: string): Promise<ReadonlyMap<string, string>> {
	const dirs = new Map<string, string>();
	for (const name of await readdir(join(rootDir, 'layers'))) {
		if (!/^\d+$/.test(name)) continue;
		const dir = join(rootDir, 'layers', name);
		const {diffId} = JSON.parse(await readFile(join(dir, 'layer.json'), 'utf8')) as {readonly diffId: string};
		dirs.set(diffId, join(dir, 'fs'));
	}
	return dirs;
}
