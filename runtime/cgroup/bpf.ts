/** Instructions of eBPF as far as programs of cgroups need them (kernel: include/uapi/linux/bpf.h, Documentation/bpf/standardization/instruction-set.rst). */
export interface BpfInstruction {
	readonly code: number;
	readonly dst: number;
	readonly src: number;
	/** Signed 16 bits. */
	readonly offset: number;
	/** 32 bits. */
	readonly imm: number;
}

export const BPF_CODE = {
	/** dst = *(u32 *)(src + offset) */
	LOAD_U32: 0x61,
	/** *(u32 *)(dst + offset) = src */
	STORE_U32: 0x63,
	/** dst = imm, the upper half 0 */
	MOVE_IMM: 0xb4,
	/** dst = src, the upper half 0 */
	MOVE: 0xbc,
	/** dst &= imm, the upper half 0 */
	AND_IMM: 0x54,
	/** dst >>= imm, the upper half 0 */
	SHIFT_RIGHT_IMM: 0x74,
	/** if ((u32)dst != imm) skip `offset` instructions */
	JUMP_IF_NOT_IMM: 0x56,
	EXIT: 0x95,
} as const;

const INSTRUCTION_BYTES = 8;

const instruction = (code: number, fields: Partial<BpfInstruction>): BpfInstruction => ({dst: 0, src: 0, offset: 0, imm: 0, ...fields, code});

export const loadU32 = (dst: number, src: number, offset: number): BpfInstruction => instruction(BPF_CODE.LOAD_U32, {dst, src, offset});
export const storeU32 = (dst: number, offset: number, src: number): BpfInstruction => instruction(BPF_CODE.STORE_U32, {dst, src, offset});
export const moveImm = (dst: number, imm: number): BpfInstruction => instruction(BPF_CODE.MOVE_IMM, {dst, imm});
export const move = (dst: number, src: number): BpfInstruction => instruction(BPF_CODE.MOVE, {dst, src});
export const andImm = (dst: number, imm: number): BpfInstruction => instruction(BPF_CODE.AND_IMM, {dst, imm});
export const shiftRightImm = (dst: number, imm: number): BpfInstruction => instruction(BPF_CODE.SHIFT_RIGHT_IMM, {dst, imm});
export const jumpIfNotImm = (dst: number, imm: number, offset: number): BpfInstruction => instruction(BPF_CODE.JUMP_IF_NOT_IMM, {dst, imm, offset});
export const exit: BpfInstruction = instruction(BPF_CODE.EXIT, {});

/** struct bpf_insn[] of a little-endian machine. */
export function toBytes(instructions: readonly BpfInstruction[]): Uint8Array {
	const bytes = Buffer.alloc(instructions.length * INSTRUCTION_BYTES);
	for (const [index, {code, dst, src, offset, imm}] of instructions.entries()) {
		const at = index * INSTRUCTION_BYTES;
		bytes.writeUInt8(code, at);
		bytes.writeUInt8(dst | (src << 4), at + 1);
		bytes.writeInt16LE(offset, at + 2);
		bytes.writeUInt32LE(imm >>> 0, at + 4);
	}
	return bytes;
}
