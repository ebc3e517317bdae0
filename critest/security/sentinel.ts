import {lstat, mkdir, readdir, readFile, readlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {addImage, toLayer, type RunConfig} from '../fixtures/content.js';
import type {TarEntry} from '../fixtures/tar.js';
import type {Running} from '../rig/use-daemon.js';

/** A tree of the node that nothing of a container may touch. */
export interface Sentinel {
	readonly directory: string;
	/** A passwd file of it. */
	readonly file: string;
	/** Another, of which nothing but the node's root leads to: no path of that name comes to be in a container. */
	readonly marker: string;
	/** Of every file and directory: what it is, its times, its content. Two of them are equal when nothing was made, changed or removed. */
	look(): Promise<readonly string[]>;
}

/** Has the names that a runtime makes or writes in a root: followed out of it, a link would have them found here. */
export async function makeSentinel(directory: string): Promise<Sentinel> {
	for (const name of ['empty', 'pts', 'shm', 'attr', 'cgroup']) await mkdir(join(directory, name), {recursive: true});
	const file = join(directory, 'passwd');
	await writeFile(file, 'root:x:0:0:root:/root:/bin/sh\nonly-of-the-node:x:4242:4242::/:/bin/sh\n');
	for (const name of ['group', 'null', 'console', 'attr/exec', 'oom_score_adj', 'core_pattern', 'marker'])
		await writeFile(join(directory, name), `kept ${name}\n`);
	return {directory, file, marker: join(directory, 'marker'), look: async () => await lookAt(directory)};
}

async function lookAt(path: string): Promise<readonly string[]> {
	const {mode, uid, gid, mtimeNs, ctimeNs, nlink, ino} = await lstat(path, {bigint: true});
	const common = `${path} ${mode.toString(8)} ${uid}:${gid} ${mtimeNs} ${ctimeNs} ${nlink} ${ino}`;
	switch (Number(mode) & 0o170000) {
		case 0o040000:
			return [common, ...(await Promise.all((await readdir(path)).sort().map(async name => await lookAt(join(path, name))))).flat()];
		case 0o100000:
			return [`${common} ${await readFile(path, 'utf8')}`];
		case 0o120000:
			return [`${common} → ${await readlink(path)}`];
		default:
			return [common];
	}
}

/** Publishes an image of busybox and one hostile layer on it, and pulls that. @returns its reference. */
export async function pullHostile({content, daemon}: Running, name: string, entries: readonly TarEntry[], config: RunConfig = {}): Promise<string> {
	const run = {Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'], ...config};
	content.tags.set(`hostile/${name}:1`, addImage(content.blobs, {format: 'oci', layers: [content.base, toLayer(entries, 'gzip')], config: run}));
	const image = `registry.k8s.io/hostile/${name}:1`;
	await daemon.cri.image('PullImage', {image: {image}});
	return image;
}
