import {InvalidArgumentError} from '../../base/errors.js';

/** A limit per block device: "<major>:<minor>", or the path of its node. */
export interface DeviceLimit {
	readonly device: string;
	readonly value: bigint;
}

/** Limits that the CRI has no field for, asked for by annotations: docs/annotations.md. null and empty: not asked for. */
export interface CgroupExtras {
	/** -1n: none. */
	readonly pidsLimit: bigint | null;
	readonly memorySoftLimitBytes: bigint | null;
	readonly memoryHighBytes: bigint | null;
	/** 10..1000, as runtime-spec's blockIO.weight. */
	readonly blkioWeight: bigint | null;
	readonly blkioWeightDevices: readonly DeviceLimit[];
	readonly blkioThrottles: Readonly<Record<ThrottleKind, readonly DeviceLimit[]>>;
	/** major << 16 | minor of a traffic class. */
	readonly networkClass: bigint | null;
	/** By interface; null: of all. */
	readonly networkPriorities: readonly {readonly interfaceName: string | null; readonly priority: bigint}[];
}
export type ThrottleKind = 'read_bps' | 'write_bps' | 'read_iops' | 'write_iops';

const PREFIX = 'berth.io/';
const THROTTLES = {
	read_bps: 'blkio-throttle-read-bps-device',
	write_bps: 'blkio-throttle-write-bps-device',
	read_iops: 'blkio-throttle-read-iops-device',
	write_iops: 'blkio-throttle-write-iops-device',
} as const satisfies Record<ThrottleKind, string>;
const NAMES = [
	'pids-limit',
	'memory-soft-limit',
	'memory-high',
	'blkio-weight',
	'blkio-weight-device',
	...Object.values(THROTTLES),
	'network-class',
	'network-priority',
] as const;
type Name = (typeof NAMES)[number];
type Annotations = Readonly<Record<string, string>>;

/** What they are read from: a container's own wins, then the pod's for the container of that name, then the pod's for all. */
export interface AnnotationSource {
	readonly pod: Annotations;
	readonly container: Annotations;
	/** metadata.name of the container. */
	readonly containerName: string;
}

/** @throws {InvalidArgumentError} naming the annotation and its rule. */
export function toCgroupExtras(source: AnnotationSource): CgroupExtras {
	const take = <T>(name: Name, parse: (text: string) => T | null, rule: string): T | null => {
		const key = keysOf(name, source).find(each => each.text !== undefined);
		if (key?.text === undefined) return null;
		const value = parse(key.text);
		if (value === null) return refuse(key.annotation, key.text, rule);
		return value;
	};
	const bytes = (name: Name) => take(name, toBytes, 'is no number of bytes like "64Mi", at least 1');
	const throttle = (kind: ThrottleKind) =>
		take(THROTTLES[kind], text => toDeviceLimits(text, toBytes), 'is no list of devices and rates per second like "8:0 1Mi, /dev/sdb 500"') ?? [];
	return {
		pidsLimit: take('pids-limit', toPidsLimit, 'is no number from 1 to 4194304, nor "max"'),
		memorySoftLimitBytes: bytes('memory-soft-limit'),
		memoryHighBytes: bytes('memory-high'),
		blkioWeight: take('blkio-weight', toWeight, 'is no number from 10 to 1000'),
		blkioWeightDevices:
			take('blkio-weight-device', text => toDeviceLimits(text, toWeight), 'is no list of devices and weights from 10 to 1000 like "8:0 100, /dev/sdb 500"') ??
			[],
		blkioThrottles: {read_bps: throttle('read_bps'), write_bps: throttle('write_bps'), read_iops: throttle('read_iops'), write_iops: throttle('write_iops')},
		networkClass: take('network-class', toClass, 'is no class like "0x00100001" or "10:1" (hexadecimal), and not 0'),
		networkPriorities: take('network-priority', toPriorities, 'is neither a priority from 0 to 4294967295, nor a list like "eth0 5, net1 7"') ?? [],
	};
}

/**
 * @param name of an annotation, whole.
 * @returns true when it is one of those above, also for one container ("berth.io/pids-limit.sidecar").
 */
export function isCgroupAnnotation(name: string): boolean {
	return NAMES.some(known => name === PREFIX + known || name.startsWith(`${PREFIX}${known}.`));
}

/** Those of a pod that are for one container only, by its name. */
export function containersNamed(pod: Annotations): readonly string[] {
	const suffixes = Object.keys(pod).flatMap(key =>
		NAMES.flatMap(name => (key.startsWith(`${PREFIX}${name}.`) ? [key.slice(PREFIX.length + name.length + 1)] : [])),
	);
	return [...new Set(suffixes)];
}

function keysOf(name: Name, {pod, container, containerName}: AnnotationSource): readonly {readonly annotation: string; readonly text: string | undefined}[] {
	const all = PREFIX + name;
	const one = `${all}.${containerName}`;
	return [
		{annotation: all, text: container[all]},
		{annotation: one, text: pod[one]},
		{annotation: all, text: pod[all]},
	];
}

const SUFFIXES: Readonly<Record<string, bigint>> = {'': 1n, k: 1000n, M: 1_000_000n, G: 1_000_000_000n, Ki: 1n << 10n, Mi: 1n << 20n, Gi: 1n << 30n};
/** The kernel counts in signed 64 bits. */
const MAX_BYTES = 2n ** 63n - 1n;

function toBytes(text: string): bigint | null {
	const [, digits, suffix = ''] = /^(\d{1,19})([kMG]|[KMG]i|)$/.exec(text) ?? [];
	const bytes = digits === undefined ? 0n : BigInt(digits) * (SUFFIXES[suffix] ?? 1n);
	return bytes > 0n && bytes <= MAX_BYTES ? bytes : null;
}

function within(text: string, low: bigint, high: bigint): bigint | null {
	const value = /^\d{1,10}$/.test(text) ? BigInt(text) : null;
	return value !== null && value >= low && value <= high ? value : null;
}

/** PID_MAX_LIMIT of the kernel is the largest that pids.max takes. */
const toPidsLimit = (text: string): bigint | null => (text === 'max' ? -1n : within(text, 1n, 4_194_304n));
const toWeight = (text: string): bigint | null => within(text, 10n, 1000n);

function toDeviceLimits(text: string, toValue: (text: string) => bigint | null): readonly DeviceLimit[] | null {
	const limits = text.split(',').map(item => {
		const [device, value, ...rest] = item.trim().split(/\s+/);
		const parsed = value === undefined || rest.length > 0 ? null : toValue(value);
		const known = /^(\d{1,7}:\d{1,7}|\/dev\/[\w./+-]+)$/.test(device ?? '') && !(device ?? '').split('/').includes('..');
		return known && device !== undefined && parsed !== null ? {device, value: parsed} : null;
	});
	const valid = limits.filter(limit => limit !== null);
	const distinct = new Set(valid.map(({device}) => device)).size === limits.length;
	return distinct ? valid : null;
}

/** As net_cls.rst has it, 0xAAAABBBB, or as tc(8) has it, AAAA:BBBB. */
function toClass(text: string): bigint | null {
	const [, major, minor] = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(text) ?? [];
	if (major !== undefined && minor !== undefined) return (BigInt(`0x${major}`) << 16n) | BigInt(`0x${minor}`) || null;
	return /^0x[0-9a-f]{1,8}$/i.test(text) ? BigInt(text) || null : null;
}

const MAX_PRIORITY = 4_294_967_295n;

function toPriorities(text: string): CgroupExtras['networkPriorities'] | null {
	const all = within(text, 0n, MAX_PRIORITY);
	if (all !== null) return [{interfaceName: null, priority: all}];
	const entries = text.split(',').map(item => {
		const [, interfaceName, digits] = /^([^\s/:]{1,15})\s+(\d{1,10})$/.exec(item.trim()) ?? [];
		const priority = within(digits ?? '', 0n, MAX_PRIORITY);
		return interfaceName === undefined || priority === null ? null : {interfaceName, priority};
	});
	const valid = entries.filter(entry => entry !== null);
	return new Set(valid.map(({interfaceName}) => interfaceName)).size === entries.length ? valid : null;
}

function refuse(annotation: string, text: string, rule: string): never {
	const field = `annotations["${annotation}"]`;
	throw new InvalidArgumentError(`${field}: "${text}" ${rule}`, {field});
}
