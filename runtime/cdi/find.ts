import {constants} from 'node:fs';
import {open, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';
import {parseSpecification, type CdiEdits, type CdiSpecification} from './specification.js';

const FIELD = 'CDI_devices';
/** Of the annotations that name devices, as the peers read them. */
const ANNOTATION_PREFIX = 'cdi.k8s.io/';
const MAX_SPECIFICATION_BYTES = 1 << 20;
const NAME = /^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?\/[A-Za-z](?:[\w-]*[A-Za-z0-9])?=[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$/;

/**
 * Names of the CDI devices that a container asks for, each once: the field's, then those of annotations "cdi.k8s.io/…", with commas between.
 *
 * @throws {InvalidArgumentError} what is no fully qualified name.
 */
export function toCdiNames(config: Pick<ContainerConfig__Output, 'CDI_devices' | 'annotations'>): readonly string[] {
	const annotated = Object.entries(config.annotations).filter(([key]) => key.startsWith(ANNOTATION_PREFIX));
	const asked = [
		...config.CDI_devices.map(({name}) => ({field: FIELD, name})),
		...annotated.flatMap(([key, value]) => value.split(',').map(name => ({field: `annotations["${key}"]`, name}))),
	];
	for (const {field, name} of asked) {
		if (!NAME.test(name)) throw new InvalidArgumentError(`${field}: "${name}" is not like "vendor.com/class=device"`, {field});
	}
	return [...new Set(asked.map(({name}) => name))];
}

interface Found {
	readonly specification: CdiSpecification;
	readonly edits: CdiEdits;
	/** Another file of the same directory has the device too. */
	readonly conflict: string | null;
}

/** What all of the directories have. */
interface Inventory {
	readonly devices: ReadonlyMap<string, Found>;
	/** Files that cannot be used, and why. */
	readonly broken: readonly string[];
}

/**
 * Edits of the devices, in the order asked; those of a whole specification once, before the first of its devices. Files are read anew: plugins write them at any time.
 *
 * @param dirs The later wins where two have a device.
 * @throws {InvalidArgumentError} naming the device: no file has it, or two of one directory do.
 */
export async function findCdiEdits(dirs: readonly string[], names: readonly string[]): Promise<readonly CdiEdits[]> {
	if (names.length === 0) return [];
	const {devices, broken} = await readInventory(dirs);
	const applied = new Set<CdiSpecification>();
	return names.flatMap(name => {
		const found = devices.get(name);
		if (found === undefined) {
			const unusable = broken.length === 0 ? '' : ` (not usable: ${broken.join('; ')})`;
			throw new InvalidArgumentError(`${FIELD}: no specification in ${dirs.join(', ')} has the device "${name}"${unusable}`, {field: FIELD});
		}
		if (found.conflict !== null) throw new InvalidArgumentError(`${FIELD}: the device "${name}" is in two files: ${found.conflict}`, {field: FIELD});
		const {specification, edits} = found;
		const general = applied.has(specification) || specification.containerEdits === null ? [] : [specification.containerEdits];
		applied.add(specification);
		return [...general, edits];
	});
}

async function readInventory(dirs: readonly string[]): Promise<Inventory> {
	const devices = new Map<string, Found>();
	const broken: string[] = [];
	for (const dir of dirs) {
		const here = new Map<string, Found & {readonly path: string}>();
		for (const name of await listSpecifications(dir)) {
			const path = join(dir, name);
			try {
				const specification = parseSpecification(name, await readSmall(path));
				for (const {name: device, containerEdits} of specification.devices) {
					const key = `${specification.kind}=${device}`;
					const other = here.get(key);
					here.set(key, {specification, edits: containerEdits, path, conflict: other === undefined ? null : `${other.path} and ${path}`});
				}
			} catch (error) {
				broken.push(`${path}: ${(error as Error).message}`);
			}
		}
		for (const [key, found] of here) devices.set(key, found);
	}
	return {devices, broken};
}

async function listSpecifications(dir: string): Promise<readonly string[]> {
	try {
		return (await readdir(dir)).filter(name => /\.(?:json|ya?ml)$/.test(name)).sort();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

async function readSmall(path: string): Promise<string> {
	// A FIFO would be waited for, and hold a thread of the pool and the pod's lock for as long.
	await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
	const stats = await file.stat();
	if (!stats.isFile()) throw new Error('is no file');
	if (stats.size > MAX_SPECIFICATION_BYTES) throw new Error(`longer than ${MAX_SPECIFICATION_BYTES} bytes`);
	return await file.readFile('utf8');
}
