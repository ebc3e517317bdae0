import {exit, moveImm, storeU32, toBytes} from '../bpf.js';

/** offsetof(struct __sk_buff, priority), include/uapi/linux/bpf.h. */
export const SKB_PRIORITY_OFFSET = 32;
const RESULT = 0;
const ARGUMENT = 1;
const VALUE = 2;

/**
 * Sets the priority of all that a cgroup sends, and lets it pass. Queueing disciplines choose a class by it: htb and prio take a priority that is a class's
 * handle (0xAAAABBBB of AAAA:BBBB) for that class (tc-htb(8), "Classification").
 *
 * @param priority 0 to 2^32 - 1.
 * @returns struct bpf_insn[] of a BPF_PROG_TYPE_CGROUP_SKB.
 */
export function toEgressProgram(priority: number): Uint8Array {
	return toBytes([moveImm(VALUE, priority), storeU32(ARGUMENT, SKB_PRIORITY_OFFSET, VALUE), moveImm(RESULT, 1), exit]);
}
