import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import type {CgroupPlan, CgroupProgram, CgroupWrite} from '../../native/native.js';
import type {CgroupExtras, DeviceLimit, ThrottleKind} from './annotations.js';
import {v1Dir, type CgroupHierarchies} from './hierarchies.js';
import {toEgressProgram} from './v2/egress-program.js';

type Extra = Pick<CgroupPlan, 'writes'> & {readonly programs: readonly CgroupProgram[]};

/** Where the files are: of the container that is to be, and of its pod, which is there already and has the same ones. */
interface Places {
	readonly hierarchies: CgroupHierarchies;
	readonly cgroupPath: string;
	readonly podPath: string;
}

/**
 * What a plan has besides, for limits that were asked for by annotations.
 *
 * @throws {InvalidArgumentError} naming the annotation: this machine's cgroups cannot do it, or a device is none.
 */
export async function toExtraPlan(places: Places, extras: CgroupExtras): Promise<Extra> {
	const network = toNetwork(places, extras);
	const io = await toIo(places, extras);
	return {writes: [...toPids(places, extras), ...toMemory(places, extras), ...io, ...network.writes], programs: network.programs};
}

/** The extra ones come before the CRI's own, which win, but after the controllers are turned on. */
export function withExtra(plan: CgroupPlan, {writes, programs}: Extra): CgroupPlan {
	const at = plan.writes.findLastIndex(({path}) => path.endsWith('/cgroup.subtree_control')) + 1;
	return {...plan, writes: plan.writes.toSpliced(at, 0, ...writes), programs: [...(plan.programs ?? []), ...programs]};
}

/** The unified directory of the container where it has the limits: not on a hybrid machine. */
function v2Dir({hierarchies, cgroupPath}: Places): string | null {
	return hierarchies.mode === 'v2' && hierarchies.unified !== null ? join(hierarchies.unified.mountpoint, cgroupPath) : null;
}

function required(path: string, value: bigint | string): CgroupWrite {
	return {path, value: String(value), required: true};
}

function cannot(annotation: string, why: string): never {
	const field = `annotations["berth.io/${annotation}"]`;
	throw new InvalidArgumentError(`${field}: ${why}`, {field});
}

function v1File(places: Places, annotation: string, [controller, name]: readonly [string, string]): string {
	const dir = v1Dir(places.hierarchies, controller, places.cgroupPath);
	return dir === null ? cannot(annotation, `this machine has the ${controller} controller neither on cgroup v1 nor on v2`) : join(dir, name);
}

function toPids(places: Places, {pidsLimit}: CgroupExtras): CgroupWrite[] {
	if (pidsLimit === null) return [];
	const dir = v2Dir(places);
	const path = dir === null ? v1File(places, 'pids-limit', ['pids', 'pids.max']) : join(dir, 'pids.max');
	return [required(path, pidsLimit < 0n ? 'max' : pidsLimit)];
}

/** What is above v1's soft limit goes first when memory is short; what is below v2's memory.low goes last. */
function toMemory(places: Places, {memorySoftLimitBytes, memoryHighBytes}: CgroupExtras): CgroupWrite[] {
	const dir = v2Dir(places);
	const writes: CgroupWrite[] = [];
	if (memorySoftLimitBytes !== null) {
		const path = dir === null ? v1File(places, 'memory-soft-limit', ['memory', 'memory.soft_limit_in_bytes']) : join(dir, 'memory.low');
		writes.push(required(path, memorySoftLimitBytes));
	}
	if (memoryHighBytes !== null) writes.push(required(join(dir ?? cannot('memory-high', 'needs cgroup v2'), 'memory.high'), memoryHighBytes));
	return writes;
}

async function toIo(places: Places, extras: CgroupExtras): Promise<CgroupWrite[]> {
	const throttles = Object.entries(extras.blkioThrottles) as [ThrottleKind, readonly DeviceLimit[]][];
	const weights = await toWeights(places, extras);
	const dir = v2Dir(places);
	const limits: CgroupWrite[] = [];
	for (const [kind, devices] of throttles)
		for (const {device, value} of devices) {
			const annotation = `blkio-throttle-${kind.replace('_', '-')}-device`;
			const number = await toDeviceNumber(annotation, device);
			if (dir === null) limits.push(required(v1File(places, annotation, ['blkio', `blkio.throttle.${kind}_device`]), `${number} ${value}`));
			// rbps, wbps, riops, wiops.
			else limits.push(required(join(dir, 'io.max'), `${number} ${kind.charAt(0)}${kind.slice(kind.indexOf('_') + 1)}=${value}`));
		}
	return [...weights, ...limits];
}

/** How a machine weighs I/O depends on its scheduler (bfq, iocost) and kernel: the pod's cgroup shows which file there is. */
async function toWeights(places: Places, {blkioWeight, blkioWeightDevices}: CgroupExtras): Promise<CgroupWrite[]> {
	if (blkioWeight === null && blkioWeightDevices.length === 0) return [];
	const annotation = blkioWeight === null ? 'blkio-weight-device' : 'blkio-weight';
	const {mode, unified} = places.hierarchies;
	const isV2 = mode === 'v2' && unified !== null;
	const parent = isV2 ? join(unified.mountpoint, places.podPath) : v1Dir(places.hierarchies, 'blkio', places.podPath);
	const dir = isV2 ? join(unified.mountpoint, places.cgroupPath) : v1Dir(places.hierarchies, 'blkio', places.cgroupPath);
	const names = new Set(parent === null ? [] : await readdir(parent).catch(() => []));
	const name = (isV2 ? ['io.bfq.weight', 'io.weight'] : ['blkio.weight', 'blkio.bfq.weight']).find(each => names.has(each));
	if (name === undefined || dir === null) return cannot(annotation, "this machine's kernel does not weigh I/O: it has neither the bfq scheduler nor iocost");
	const toValue = (weight: bigint): bigint => (name === 'io.weight' ? toIoWeight(weight) : weight);
	const devices = blkioWeightDevices.map(async ({device, value}) =>
		required(join(dir, isV2 ? name : `${name}_device`), `${await toDeviceNumber('blkio-weight-device', device)} ${toValue(value)}`),
	);
	return [...(blkioWeight === null ? [] : [required(join(dir, name), toValue(blkioWeight))]), ...(await Promise.all(devices))];
}

/** 10..1000 on the scale of io.weight, 1..10000, as other OCI runtimes convert it. */
export function toIoWeight(weight: bigint): bigint {
	return 1n + ((weight - 10n) * 9999n) / 990n;
}

/** "8:0". */
async function toDeviceNumber(annotation: string, device: string): Promise<string> {
	if (!device.startsWith('/')) return device;
	const stats = await stat(device, {bigint: true}).catch((error: unknown) => cannot(annotation, `"${device}" cannot be read: ${(error as Error).message}`));
	if (!stats.isBlockDevice()) return cannot(annotation, `"${device}" is no block device`);
	const rdev = stats.rdev;
	return `${((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)}:${(rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)}`;
}

/** v1 has a controller for each; without it a program in the unified hierarchy sets what both come to: the packet's priority. */
function toNetwork(places: Places, {networkClass, networkPriorities}: CgroupExtras): Extra {
	const classDir = v1Dir(places.hierarchies, 'net_cls', places.cgroupPath);
	const priorityDir = v1Dir(places.hierarchies, 'net_prio', places.cgroupPath);
	const writes: CgroupWrite[] = [];
	const values: bigint[] = [];
	if (networkClass !== null && classDir !== null) writes.push(required(join(classDir, 'net_cls.classid'), networkClass));
	else if (networkClass !== null) values.push(networkClass);
	for (const {interfaceName, priority} of networkPriorities) {
		if (interfaceName === null) values.push(priority);
		else if (priorityDir !== null) writes.push(required(join(priorityDir, 'net_prio.ifpriomap'), `${interfaceName} ${priority}`));
		else cannot('network-priority', 'a priority for one interface needs the net_prio controller of cgroup v1, which this machine has not');
	}
	const [value, second] = values;
	if (second !== undefined)
		return cannot('network-priority', 'without the net_cls controller of cgroup v1 a class is a priority too: only one of both can be set');
	return {writes, programs: value === undefined ? [] : [toEgress(places, networkClass === null ? 'network-priority' : 'network-class', value)]};
}

function toEgress({hierarchies, cgroupPath}: Places, annotation: string, value: bigint): CgroupProgram {
	const {unified} = hierarchies;
	if (unified === null) return cannot(annotation, 'this machine has neither the controller of cgroup v1 for it nor a unified hierarchy');
	return {dir: join(unified.mountpoint, cgroupPath), kind: 'egress', instructions: toEgressProgram(Number(value))};
}
