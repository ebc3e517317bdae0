import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

const VERSION = 2;

/** One unpacked layer, as layer.json beside its files says. Its directory is read-only to all who use it. */
export interface LayerRecord {
	readonly chainId: string;
	readonly diffId: string;
	/** Name of its directory below layers/: short, as mount options are. */
	readonly name: string;
	readonly diskBytes: number;
	readonly inodes: number;
	/** Nothing of the layers below is to be seen. */
	readonly opaqueRoot: boolean;
	/** Of its root directory: a container's own root, which is in its writable layer, is to look so. */
	readonly root: RootLook;
}
export interface RootLook {
	/** Permission bits. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

export function toLayerJson({chainId, diffId, diskBytes, inodes, opaqueRoot, root}: LayerRecord): string {
	return JSON.stringify({version: VERSION, chainId, diffId, diskBytes, inodes, opaqueRoot, root});
}

/** null: torn or absent, so the layer is not whole, or of another version. */
export async function readLayerRecord(dir: string, name: string): Promise<LayerRecord | null> {
	if (!/^[1-9]\d*$/.test(name)) return null;
	try {
		const {version, ...record} = JSON.parse(await readFile(join(dir, 'layer.json'), 'utf8')) as Omit<LayerRecord, 'name'> & {readonly version: unknown};
		const {chainId, diffId, diskBytes, inodes, opaqueRoot, root} = record;
		const named = typeof chainId === 'string' && typeof diffId === 'string' && typeof opaqueRoot === 'boolean';
		const numbers = [diskBytes, inodes, root.mode, root.uid, root.gid].every(Number.isSafeInteger);
		return version === VERSION && named && numbers ? {chainId, diffId, name, diskBytes, inodes, opaqueRoot, root} : null;
	} catch {
		return null;
	}
}
