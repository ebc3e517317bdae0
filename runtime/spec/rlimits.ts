import {InvalidArgumentError} from '../../base/errors.js';

/** setrlimit(2): `resource` is RLIMIT_* of the kernel; 2^64-1 = unlimited. */
export interface Rlimit {
	readonly resource: number;
	readonly soft: bigint;
	readonly hard: bigint;
}

/** asm-generic/resource.h, which x86-64 and arm64 have. */
const RESOURCES: Readonly<Record<string, number>> = {
	cpu: 0,
	fsize: 1,
	data: 2,
	stack: 3,
	core: 4,
	rss: 5,
	nproc: 6,
	nofile: 7,
	memlock: 8,
	as: 9,
	locks: 10,
	sigpending: 11,
	msgqueue: 12,
	nice: 13,
	rtprio: 14,
	rttime: 15,
};
const UNLIMITED = (1n << 64n) - 1n;

/**
 * One of `default_ulimits`: "nofile=1024:4096", "core=0", "memlock=unlimited". One value is both limits.
 *
 * @throws {InvalidArgumentError} no such resource, no such number, or the soft limit is above the hard one.
 */
export function toRlimit(text: string): Rlimit {
	const refuse = (rule: string): never => {
		throw new InvalidArgumentError(`ulimit "${text}" ${rule}`, {ulimit: text});
	};
	const [, name = '', soft = '', hard] = /^([a-z]+)=([^:]+)(?::([^:]+))?$/.exec(text) ?? refuse('is not like "nofile=1024:4096"');
	const resource = RESOURCES[name] ?? refuse(`names no resource; there are ${Object.keys(RESOURCES).join(', ')}`);
	const limit = {resource, soft: toLimit(soft) ?? refuse(`has no number "${soft}"`), hard: toLimit(hard ?? soft) ?? refuse(`has no number "${hard ?? soft}"`)};
	if (limit.soft > limit.hard) refuse('has a soft limit above the hard one');
	return limit;
}

function toLimit(text: string): bigint | null {
	if (text === 'unlimited' || text === '-1') return UNLIMITED;
	const value = /^\d{1,20}$/.test(text) ? BigInt(text) : UNLIMITED + 1n;
	return value <= UNLIMITED ? value : null;
}
