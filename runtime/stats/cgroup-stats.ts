import {join} from 'node:path';
import {v1Dir, type CgroupHierarchies} from '../cgroup/hierarchies.js';
import type {CpuSamples} from './cpu-samples.js';
import type {CgroupFacts, PressureFacts} from './facts.js';
import type {FilePass, FileText} from './file-pass.js';
import {parseCpuUsage, parseMemory, parseNumber, parsePressure, parseSwap} from './parse.js';

/** Where a file of a cgroup lies: on v1 by controller; null where that version has none of the kind. */
export interface CgroupFile {
	readonly v1: readonly [controller: string, name: string] | null;
	readonly v2: string | null;
}

/** A cgroup whose files are to be read in a pass. */
export interface CgroupTarget {
	readonly hierarchies: CgroupHierarchies;
	/** Below each hierarchy's root. */
	readonly cgroupPath: string;
}

/** @returns the path of the file on this machine; null when there is none. */
export function toFilePath({hierarchies, cgroupPath}: CgroupTarget, {v1, v2}: CgroupFile): string | null {
	if (hierarchies.mode === 'v2') return v2 === null ? null : unifiedPath(hierarchies, cgroupPath, v2);
	if (v1 === null) return null;
	const [controller, name] = v1;
	const dir = v1Dir(hierarchies, controller, cgroupPath);
	return dir === null ? null : join(dir, name);
}

/** Files that the unified hierarchy has without any controller, on a hybrid machine too: pressure. */
function unifiedPath({unified}: CgroupHierarchies, cgroupPath: string, name: string): string | null {
	return unified === null ? null : join(unified.mountpoint, cgroupPath, name);
}

const FILES = {
	cpu: {v1: ['cpuacct', 'cpuacct.usage'], v2: 'cpu.stat'},
	usage: {v1: ['memory', 'memory.usage_in_bytes'], v2: 'memory.current'},
	stat: {v1: ['memory', 'memory.stat'], v2: 'memory.stat'},
	limit: {v1: ['memory', 'memory.limit_in_bytes'], v2: 'memory.max'},
	swapLimit: {v1: ['memory', 'memory.memsw.limit_in_bytes'], v2: 'memory.swap.max'},
	swapUsage: {v1: null, v2: 'memory.swap.current'},
	pids: {v1: ['pids', 'pids.current'], v2: 'pids.current'},
} as const satisfies Record<string, CgroupFile>;

/** When a pass was read. */
export interface ReadTime {
	/** Since the epoch. */
	readonly atNs: bigint;
	/** Monotonic. */
	readonly atMs: number;
}

/** Asks for what stats need of one cgroup. @returns what to call after the pass. */
export function addCgroup(pass: FilePass, target: CgroupTarget, id: string): (cpuSamples: CpuSamples, time: ReadTime) => CgroupFacts {
	const mode = target.hierarchies.mode === 'v2' ? 'v2' : 'v1';
	const files = Object.fromEntries(Object.entries(FILES).map(([name, file]) => [name, pass.add(toFilePath(target, file))])) as Record<
		keyof typeof FILES,
		FileText
	>;
	const pressure = addPressure(pass, target);
	return (cpuSamples, {atMs}) => {
		const usageCoreNs = parseCpuUsage(mode, files.cpu());
		const memoryFiles = {usage: files.usage(), stat: files.stat(), limit: files.limit(), swapLimit: files.swapLimit(), swapUsage: files.swapUsage()};
		return {
			cpu: usageCoreNs === null ? null : {usageCoreNs, usageNanoCores: cpuSamples.take(id, usageCoreNs, atMs)},
			memory: parseMemory(mode, memoryFiles),
			swap: parseSwap(mode, memoryFiles),
			pids: parseNumber(files.pids()),
			pressure: pressure(),
		};
	};
}

/** Pressure of the processes of a cgroup: they are in the unified hierarchy on hybrid machines too. */
export function addPressure(pass: FilePass, {hierarchies, cgroupPath}: CgroupTarget): () => PressureFacts {
	const [cpu, memory, io] = (['cpu.pressure', 'memory.pressure', 'io.pressure'] as const).map(name => pass.add(unifiedPath(hierarchies, cgroupPath, name)));
	return () => ({cpu: parsePressure(cpu?.() ?? null), memory: parsePressure(memory?.() ?? null), io: parsePressure(io?.() ?? null)});
}
