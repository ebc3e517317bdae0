import type {CgroupTarget} from '../cgroup-stats.js';
import type {FilePass} from '../file-pass.js';

/** One value of a metric. */
export interface MetricFacts {
	/** One of DESCRIPTORS. */
	readonly name: string;
	/** Of the metric's own labels, in its descriptor's order. */
	readonly labels: readonly string[];
	/** The CRI has no fractions: seconds are whole. */
	readonly value: bigint;
	/** Nanoseconds since the epoch; 0n: now. */
	readonly timestampNs: bigint;
}

/** What is known after the pass. */
export type MetricsReader = () => readonly MetricFacts[];

/** Asks a pass for the files of some metrics of one container. */
export type AddMetrics = (pass: FilePass, target: CgroupTarget) => MetricsReader;

/** @returns the metric, or nothing when its value is not known. */
export function metric(name: string, value: bigint | null, ...labels: readonly string[]): readonly MetricFacts[] {
	return value === null ? [] : [{name, labels, value, timestampNs: 0n}];
}

/** Whole ones. */
export function toSeconds(ns: bigint | null): bigint | null {
	return ns === null ? null : ns / 1_000_000_000n;
}
