import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';

const MOUNT = '/sys/fs/cgroup';

/** A cgroup of the machine as a test finds it, without asking the daemon: by the process that is in it. */
export interface CgroupFiles {
	readonly version: 'v1' | 'v2';
	/** @param v1 controller and file; v2 the file. null: the kernel has no such file. */
	read(v1: readonly [controller: string, file: string] | null, v2: string | null): Promise<string | null>;
	number(v1: readonly [controller: string, file: string] | null, v2: string | null): Promise<bigint>;
	/** The value of a key in a file of "key value" lines. */
	stat(v1: readonly [controller: string, file: string, key: string] | null, v2: readonly [file: string, key: string] | null): Promise<bigint>;
	/** Of the unified hierarchy, where a hybrid machine has pressure too. */
	unified(file: string): Promise<string | null>;
}

/** By /proc/<pid>/cgroup (cgroups(7)). */
export async function cgroupOf(pid: number): Promise<CgroupFiles> {
	const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trimEnd().split('\n');
	const paths = lines.map(line => /^\d+:([^:]*):(.*)$/.exec(line) ?? ['', '', '']).map(([, controllers = '', path = '']) => ({controllers, path}));
	const version = (await readdir(MOUNT)).includes('cgroup.controllers') ? 'v2' : 'v1';
	const unifiedPath = paths.find(({controllers}) => controllers === '')?.path ?? null;
	const unifiedRoot = version === 'v2' ? MOUNT : join(MOUNT, 'unified');
	const unified = (file: string): Promise<string | null> => (unifiedPath === null ? Promise.resolve(null) : readOrNull(join(unifiedRoot, unifiedPath, file)));
	const read = async (v1: readonly [string, string] | null, v2: string | null): Promise<string | null> => {
		if (version === 'v2') return v2 === null ? null : await unified(v2);
		if (v1 === null) return null;
		const [controller, file] = v1;
		const found = paths.find(({controllers}) => controllers.split(',').includes(controller));
		return found === undefined ? null : await readOrNull(join(MOUNT, controller, found.path, file));
	};
	return {
		version,
		unified,
		read,
		number: async (v1, v2) => BigInt((await required(read(v1, v2), v1, v2)).trim()),
		stat: async (v1, v2) => {
			const text = await required(read(v1 === null ? null : [v1[0], v1[1]], v2?.[0] ?? null), v1, v2);
			const key = (version === 'v2' ? v2?.[1] : v1?.[2]) ?? '';
			const found = new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1];
			if (found === undefined) throw new Error(`no "${key}" in ${JSON.stringify(version === 'v2' ? v2 : v1)}`);
			return BigInt(found);
		},
	};
}

async function required(text: Promise<string | null>, ...which: readonly unknown[]): Promise<string> {
	const found = await text;
	if (found === null) throw new Error(`the kernel has none of ${JSON.stringify(which)}`);
	return found;
}

async function readOrNull(path: string): Promise<string | null> {
	try {
		return await readFile(path, 'utf8');
	} catch {
		return null;
	}
}
