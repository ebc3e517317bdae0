import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {InvalidArgumentError} from '../../../base/errors.js';
import type {Kernel} from '../../../native/native.js';
import type {ResourceFacts} from '../../sandbox/record.js';
import {toCpuBandwidth, toCpuShares, toCpuWeight} from '../cpu.js';
import type {CgroupDriver} from '../driver.js';
import type {CgroupHierarchies} from '../hierarchies.js';
import {toMemoryLimits} from '../memory.js';
import type {DbusValue} from './dbus-codec.js';
import {isSlice, toScopeName, toSliceOf, toSlicePath} from './slices.js';
import type {SystemdUnits} from './units.js';

export interface SystemdDriverParts {
	readonly units: Pick<SystemdUnits, 'startScope' | 'stop' | 'setProperties' | 'close'>;
	readonly kernel: Pick<Kernel, 'readFiles' | 'writeFile'>;
	readonly cgroups: CgroupHierarchies;
	/** "/berth": the slice of what names none is "berth.slice". */
	readonly cgroupRoot: string;
}
type Property = readonly [key: string, signature: string, value: DbusValue];

/**
 * One scope for each pod, which holds the pod's monitor as long as the pod lives. systemd delegates it: the containers' cgroups in it are berth's, made and limited
 * as with the cgroupfs driver. docs/decisions/0025-systemd-driver.md.
 *
 * @throws {InvalidArgumentError} not v2, or a cgroup_root that is no name of a slice.
 */
export function systemdDriver({units, kernel, cgroups, cgroupRoot}: SystemdDriverParts): CgroupDriver {
	const {unified, mode} = cgroups;
	if (mode !== 'v2' || unified === null)
		throw new InvalidArgumentError(`runtime.cgroup_driver "systemd" needs cgroup v2 alone, and this machine's cgroups are ${mode}: use "cgroupfs"`, {
			key: 'runtime.cgroup_driver',
		});
	const name = cgroupRoot.slice(1);
	const slice = `${name}.slice`;
	toSlicePath('cgroup_root: the slice', slice);
	const dirOf = (path: string): string => join(unified.mountpoint, path);
	return {
		name: 'systemd',
		toPodPath: (sandboxId, cgroupParent) => {
			const field = 'linux.cgroup_parent';
			if (cgroupParent !== '' && !isSlice(cgroupParent))
				throw new InvalidArgumentError(`${field} "${cgroupParent}" is no systemd slice, but the cgroup driver is systemd`, {field});
			return join(toSlicePath(field, cgroupParent === '' ? slice : cgroupParent), toScopeName(sandboxId));
		},
		isOwn: () => true,
		launcherPath: null,
		openLauncher: async pid => await units.startScope({name: `${name}-launcher.scope`, slice, description: 'berth: launcher of pods', pids: [pid]}),
		openPod: async ({sandboxId, podPath, pid, leaf}) => {
			// The monitor's own children, such as the pod's init, began where the launcher is.
			const pids = [pid, ...(await readNumbers(kernel, `/proc/${pid}/task/${pid}/children`))];
			await units.startScope({name: toScopeName(sandboxId), slice: toSliceOf(podPath), description: `berth: pod sandbox ${sandboxId}`, pids});
			await moveDown(kernel, dirOf(podPath), leaf);
		},
		closePod: async sandboxId => await units.stop(toScopeName(sandboxId)),
		updatePod: async (sandboxId, resources) => {
			const properties = toProperties(resources);
			if (properties.length > 0) await units.setProperties(toScopeName(sandboxId), properties);
		},
		close: () => units.close(),
	};
}

/** A cgroup that gives controllers to those below it has no processes itself (cgroup-v2.rst, "No Internal Process Constraint"). */
async function moveDown(kernel: SystemdDriverParts['kernel'], scopeDir: string, name: string): Promise<void> {
	const leaf = join(scopeDir, name);
	await mkdir(leaf, {recursive: true, mode: 0o755});
	for (const pid of await readNumbers(kernel, join(scopeDir, 'cgroup.procs'))) await kernel.writeFile(join(leaf, 'cgroup.procs'), String(pid));
}

async function readNumbers(kernel: SystemdDriverParts['kernel'], path: string): Promise<readonly number[]> {
	const [content] = await kernel.readFiles([path]);
	return Buffer.from(content ?? '')
		.toString('latin1')
		.split(/\s+/)
		.filter(text => text !== '')
		.map(Number);
}

const NO_LIMIT = 2n ** 64n - 1n;

/** systemd.resource-control(5), as its D-Bus interface has them. */
function toProperties(resources: ResourceFacts): readonly Property[] {
	const shares = toCpuShares(resources.cpuShares);
	const bandwidth = toCpuBandwidth(resources.cpuQuotaUs, resources.cpuPeriodUs);
	const memory = toMemoryLimits(resources.memoryLimitBytes, resources.memorySwapLimitBytes);
	const orNone = (limit: bigint): bigint => (limit < 0n ? NO_LIMIT : limit);
	const properties: Property[] = [];
	if (shares !== null) properties.push(['CPUWeight', 't', BigInt(toCpuWeight(shares))]);
	if (bandwidth !== null) {
		properties.push(['CPUQuotaPeriodUSec', 't', bandwidth.periodUs]);
		properties.push(['CPUQuotaPerSecUSec', 't', bandwidth.quotaUs === null ? NO_LIMIT : (bandwidth.quotaUs * 1_000_000n) / bandwidth.periodUs]);
	}
	if (memory !== null) {
		const {limitBytes, memoryAndSwapBytes} = memory;
		properties.push(['MemoryMax', 't', orNone(limitBytes)]);
		properties.push(['MemorySwapMax', 't', memoryAndSwapBytes < 0n ? NO_LIMIT : memoryAndSwapBytes - limitBytes]);
	}
	return properties;
}
