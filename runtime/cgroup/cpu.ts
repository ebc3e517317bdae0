import {InvalidArgumentError} from '../../base/errors.js';

/** CFS bandwidth with the defaults filled in. */
export interface CpuBandwidth {
	/** null: no limit. */
	readonly quotaUs: bigint | null;
	readonly periodUs: bigint;
}

/**
 * CFS bandwidth as asked, checked.
 *
 * @param quotaUs  CPU time allowed per period, µs. 0 = not specified; negative = no limit; else at least 1_000.
 * @param periodUs Length of a period, µs. 0 = kernel default (100_000); else 1_000 to 1_000_000.
 * @returns null when both are unspecified: leave the files alone.
 * @throws {InvalidArgumentError} outside those ranges; the kernel would answer EINVAL without saying which.
 * @see sched-bwc.rst; api.proto, LinuxContainerResources.cpu_quota and cpu_period.
 */
export function toCpuBandwidth(quotaUs: bigint, periodUs: bigint): CpuBandwidth | null {
	if (quotaUs === 0n && periodUs === 0n) return null;
	const period = periodUs === 0n ? 100_000n : periodUs;
	if (period < 1_000n || period > 1_000_000n) throw new InvalidArgumentError(`cpu_period ${periodUs} µs is not in 1000..1000000`, {field: 'cpu_period'});
	if (quotaUs > 0n && quotaUs < 1_000n) throw new InvalidArgumentError(`cpu_quota ${quotaUs} µs is below 1000`, {field: 'cpu_quota'});
	return {quotaUs: quotaUs > 0n ? quotaUs : null, periodUs: period};
}

const MIN_SHARES = 2n;
const MAX_SHARES = 262_144n;

/**
 * @returns null when not specified (0).
 * @throws {InvalidArgumentError} not in 2..262144: the kernel would clamp it without a word.
 */
export function toCpuShares(shares: bigint): bigint | null {
	if (shares === 0n) return null;
	if (shares < MIN_SHARES || shares > MAX_SHARES)
		throw new InvalidArgumentError(`cpu_shares ${shares} is not in ${MIN_SHARES}..${MAX_SHARES}`, {field: 'cpu_shares'});
	return shares;
}

/**
 * Weight of cgroup v2 (1..10000, default 100) for shares of v1 (2..262144, default 1024). The curve goes through minimum, default and
 * maximum of both, as OCI runtimes do since 2025: a straight line would make the default 1024 a weight of 39.
 *
 * @param shares in 2..262144.
 * @see cgroup-v2.rst, "cpu.weight"; opencontainers/cgroups, conversion of CPU shares.
 */
export function toCpuWeight(shares: bigint): number {
	if (shares <= MIN_SHARES) return 1;
	if (shares >= MAX_SHARES) return 10_000;
	const log = Math.log2(Number(shares));
	const weight = 10 ** ((log * log + 125 * log) / 612 - 7 / 34);
	// Rounding up, but not because of floating point's last digits: 1024 is 100.
	return Math.ceil(weight - 1e-9);
}

/** The other way, for a weight that did not come from shares: the smallest shares that have it. */
export function toSharesOfWeight(weight: number): bigint {
	let [low, high] = [MIN_SHARES, MAX_SHARES];
	while (low < high) {
		const middle = (low + high) / 2n;
		if (toCpuWeight(middle) < weight) low = middle + 1n;
		else high = middle;
	}
	return low;
}

const LIST = /^\d+(-\d+)?(,\d+(-\d+)?)*$/;

/**
 * A cpuset list ("0-3,8").
 *
 * @returns null when not specified ('').
 * @throws {InvalidArgumentError} not of that form, or a range that goes down.
 */
export function toCpuset(field: 'cpuset_cpus' | 'cpuset_mems', list: string): string | null {
	if (list === '') return null;
	const goesDown = (range: string): boolean => {
		const [low, high] = range.split('-').map(Number);
		return low !== undefined && high !== undefined && low > high;
	};
	if (!LIST.test(list) || list.split(',').some(goesDown)) throw new InvalidArgumentError(`${field} "${list}" is not a list like 0-3,8`, {field});
	return list;
}
