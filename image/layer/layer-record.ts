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
}

export function toLayerJson({chainId, diffId, diskBytes, inodes, opaqueRoot}: LayerRecord): string {
	return JSON.stringify({version: VERSION, chainId, diffId, diskBytes, inodes, opaqueRoot});
}

/** null: torn or absent, so the layer is not whole, or of another version. */
export async function readLayerRecord(dir: string, name: string): Promise<LayerRecord | null> {
	if (!/^[1-9]\d*$/.test(name)) return null;
	try {
		const {version, chainId, diffId, diskBytes, inodes, opaqueRoot} = JSON.parse(await readFile(join(dir, 'layer.json'), 'utf8')) as LayerRecord & {
			readonly version: unknown;
		};
		const fits = version === VERSION && typeof chainId === 'string' && typeof diffId === 'string' && typeof opaqueRoot === 'boolean';
		return fits && typeof diskBytes === 'number' && typeof inodes === 'number' ? {chainId, diffId, name, diskBytes, inodes, opaqueRoot} : null;
	} catch {
		return null;
	}
}
