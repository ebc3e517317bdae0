import {toFilePath} from '../cgroup-stats.js';
import type {FilePass} from '../file-pass.js';
import {metric, type AddMetrics, type MetricFacts} from './metric.js';

/** What went to or came from one device. */
interface DeviceIo {
	readonly major: string;
	readonly minor: string;
	/** As cAdvisor calls it: "Read", "Write", … */
	readonly operation: string;
	readonly value: bigint;
}

const BYTES = {v1: ['blkio', 'blkio.throttle.io_service_bytes_recursive'], v2: 'io.stat'} as const;
const COUNTS = {v1: ['blkio', 'blkio.throttle.io_serviced_recursive'], v2: 'io.stat'} as const;
/** Fields of io.stat (cgroup-v2.rst). */
const V2_BYTES = {rbytes: 'Read', wbytes: 'Write', dbytes: 'Discard'};
const V2_COUNTS = {rios: 'Read', wios: 'Write', dios: 'Discard'};

/** Block I/O by device. The devices' names are asked for once per pass. */
export const addDiskIoMetrics: AddMetrics = (pass, target) => {
	const bytes = pass.add(toFilePath(target, BYTES));
	const counts = pass.add(toFilePath(target, COUNTS));
	const names = addDeviceNames(pass);
	const isV2 = target.hierarchies.mode === 'v2';
	const parse = (text: string | null, fields: Readonly<Record<string, string>>): readonly DeviceIo[] =>
		text === null ? [] : isV2 ? parseIoStat(text, fields) : parseBlkio(text);
	return () => {
		const served = parse(bytes(), V2_BYTES);
		const serviced = parse(counts(), V2_COUNTS);
		if (served.length + serviced.length === 0) return [];
		const nameOf = names();
		return [
			...byDevice(served, nameOf, {Read: 'container_fs_reads_bytes_total', Write: 'container_fs_writes_bytes_total'}),
			...byDevice(serviced, nameOf, {Read: 'container_fs_reads_total', Write: 'container_fs_writes_total'}),
			...served.flatMap(({major, minor, operation, value}) =>
				metric('container_blkio_device_usage_total', value, nameOf(major, minor), major, minor, operation),
			),
		];
	};
};

export type DeviceName = (major: string, minor: string) => string;

function byDevice(ios: readonly DeviceIo[], nameOf: DeviceName, names: Readonly<Record<string, string>>): readonly MetricFacts[] {
	return ios.flatMap(({major, minor, operation, value}) => {
		const name = names[operation];
		return name === undefined ? [] : metric(name, value, nameOf(major, minor));
	});
}

/** v1: "8:0 Read 4096" (blkio-controller.rst); the last line "Total 8192" is of no device. */
export function parseBlkio(text: string): readonly DeviceIo[] {
	return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major = '', minor = '', operation = '', value = '0']) => ({
		major,
		minor,
		operation,
		value: BigInt(value),
	}));
}

/** v2: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0". */
export function parseIoStat(text: string, fields: Readonly<Record<string, string>>): readonly DeviceIo[] {
	return [...text.matchAll(/^(\d+):(\d+) (.+)$/gm)].flatMap(([, major = '', minor = '', rest = '']) =>
		[...rest.matchAll(/(\w+)=(\d+)/g)].flatMap(([, field = '', value = '0']) => {
			const operation = fields[field];
			return operation === undefined ? [] : [{major, minor, operation, value: BigInt(value)}];
		}),
	);
}

/** "/dev/vda", as cAdvisor; "254:0" for a device that diskstats does not have. Parsed once for all that ask within a pass. */
export function addDeviceNames(pass: FilePass): () => DeviceName {
	const names = pass.addParsed('/proc/diskstats', parseDiskstats);
	return () => (major, minor) => names().get(`${major}:${minor}`) ?? `${major}:${minor}`;
}

/** " 254       0 vda 75330 …" (iostats.rst) */
function parseDiskstats(text: string): ReadonlyMap<string, string> {
	return new Map([...text.matchAll(/^ *(\d+) +(\d+) (\S+)/gm)].map(([, major = '', minor = '', name = '']) => [`${major}:${minor}`, `/dev/${name}`]));
}
