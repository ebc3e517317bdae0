import {UnimplementedError} from '../../base/errors.js';
import type {MountSpec} from '../../native/native.js';
import type {CdiDeviceNode, CdiEdits, CdiMount} from './specification.js';

const FIELD = 'CDI_devices';

/** What CDI devices change of a container, all of them together. */
export interface CdiChanges {
	/** "NAME=value"; later ones win. */
	readonly env: readonly string[];
	readonly deviceNodes: readonly CdiDeviceNode[];
	readonly mounts: readonly MountSpec[];
	readonly gids: readonly number[];
}

export const NO_CDI: CdiChanges = {env: [], deviceNodes: [], mounts: [], gids: []};

/** @throws {UnimplementedError} edits that are not done: hooks, which are programs for an OCI bundle, network devices, resource control, other mounts than binds. */
export function toCdiChanges(edits: readonly CdiEdits[]): CdiChanges {
	for (const {hooks, netDevices, intelRdt} of edits) {
		if (hooks.length > 0) throw new UnimplementedError(`${FIELD}: hooks of a CDI device are not implemented`, {field: FIELD});
		if (netDevices.length > 0) throw new UnimplementedError(`${FIELD}: netDevices of a CDI device are not implemented`, {field: FIELD});
		if (intelRdt !== null) throw new UnimplementedError(`${FIELD}: intelRdt of a CDI device is not implemented`, {field: FIELD});
	}
	return {
		env: edits.flatMap(({env}) => env),
		deviceNodes: edits.flatMap(({deviceNodes}) => deviceNodes),
		mounts: edits.flatMap(({mounts}) => mounts.map(toBind)),
		// 0 is every container's already.
		gids: [...new Set(edits.flatMap(({additionalGids}) => additionalGids))].filter(gid => gid !== 0),
	};
}

type Bind = Extract<MountSpec, {kind: 'bind'}>;
type Change = Partial<{-readonly [K in keyof Bind]: Bind[K]}>;

/** mount(8)'s words, as OCI specs have them. */
const OPTIONS: Readonly<Record<string, Change>> = {
	bind: {recursive: false},
	rbind: {recursive: true},
	ro: {readonly: true},
	rro: {readonly: true, recursiveReadOnly: true},
	rw: {readonly: false},
	noexec: {noexec: true},
	nosuid: {nosuid: true},
	nodev: {nodev: true},
	exec: {noexec: false},
	suid: {nosuid: false},
	dev: {nodev: false},
	private: {propagation: 'private'},
	rprivate: {propagation: 'private'},
	slave: {propagation: 'slave'},
	rslave: {propagation: 'slave'},
};

function toBind({hostPath, containerPath, type, options}: CdiMount): MountSpec {
	if (type !== null && type !== '' && type !== 'bind' && type !== 'none')
		throw new UnimplementedError(`${FIELD}: a mount of type "${type}" of a CDI device is not implemented`, {field: FIELD});
	const bind: Bind = {
		kind: 'bind',
		source: hostPath,
		target: containerPath,
		recursive: true,
		readonly: false,
		recursiveReadOnly: false,
		noexec: false,
		nosuid: false,
		nodev: false,
		propagation: 'private',
		idMapped: false,
		idMaps: null,
	};
	return options.reduce<Bind>((changed, option) => {
		const change = OPTIONS[option];
		if (change === undefined) throw new UnimplementedError(`${FIELD}: the mount option "${option}" of a CDI device is not implemented`, {field: FIELD});
		return {...changed, ...change};
	}, bind);
}
