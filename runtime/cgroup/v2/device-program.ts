import {andImm, exit, jumpIfNotImm, loadU32, move, moveImm, shiftRightImm, toBytes, type BpfInstruction} from '../bpf.js';
import type {DeviceRule} from '../device-rules.js';

/** struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor. */
const CONTEXT = {ACCESS_TYPE: 0, MAJOR: 4, MINOR: 8} as const;
/** BPF_DEVCG_ACC_* and BPF_DEVCG_DEV_* of include/uapi/linux/bpf.h. */
export const ACCESS_BITS: Readonly<Record<string, number>> = {m: 1, r: 2, w: 4};
export const TYPE_NUMBERS = {b: 1, c: 2} as const;

const RESULT = 0;
const ARGUMENT = 1;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;
const REST = 6;

/**
 * The filter that a cgroup of v2 has in place of v1's device list (BPF_PROG_TYPE_CGROUP_DEVICE): it is asked at each mknod and open, and lets through what one
 * rule covers wholly. Rules of the same device are one, as in v1's list.
 *
 * @returns struct bpf_insn[].
 */
export function toDeviceProgram(rules: readonly DeviceRule[]): Uint8Array {
	return toBytes([
		loadU32(TYPE, ARGUMENT, CONTEXT.ACCESS_TYPE),
		move(ACCESS, TYPE),
		andImm(TYPE, 0xffff),
		shiftRightImm(ACCESS, 16),
		loadU32(MAJOR, ARGUMENT, CONTEXT.MAJOR),
		loadU32(MINOR, ARGUMENT, CONTEXT.MINOR),
		...merged(rules).flatMap(toBlock),
		moveImm(RESULT, 0),
		exit,
	]);
}

function merged(rules: readonly DeviceRule[]): readonly DeviceRule[] {
	const byDevice = new Map<string, DeviceRule>();
	for (const rule of rules) {
		const key = `${rule.type} ${rule.major}:${rule.minor}`;
		byDevice.set(key, {...rule, access: (byDevice.get(key)?.access ?? '') + rule.access});
	}
	return [...byDevice.values()];
}

/** Allows what the rule covers, else falls through to the next block. */
function toBlock({type, major, minor, access}: DeviceRule): readonly BpfInstruction[] {
	const bits = access.split('').reduce((sum, letter) => sum | (ACCESS_BITS[letter] ?? 0), 0);
	const tests: ((toEnd: number) => BpfInstruction)[] = [
		toEnd => jumpIfNotImm(TYPE, TYPE_NUMBERS[type], toEnd),
		() => move(REST, ACCESS),
		() => andImm(REST, ~bits),
		toEnd => jumpIfNotImm(REST, 0, toEnd),
	];
	if (major !== null) tests.push(toEnd => jumpIfNotImm(MAJOR, major, toEnd));
	if (minor !== null) tests.push(toEnd => jumpIfNotImm(MINOR, minor, toEnd));
	const allow = [moveImm(RESULT, 1), exit];
	const length = tests.length + allow.length;
	// A jump counts from the instruction after it.
	return [...tests.map((test, index) => test(length - index - 1)), ...allow];
}
