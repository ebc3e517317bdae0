import {BPF_CODE} from './bpf.js';

/** For tests: runs a program of bpf.ts on a context, as the kernel does. @returns what it leaves in r0. */
export function runBpf(program: Uint8Array, context: Uint8Array): number {
	const code = Buffer.from(program);
	const memory = Buffer.from(context.buffer, context.byteOffset, context.byteLength);
	const registers: (number | 'context')[] = [0, 'context', 0, 0, 0, 0, 0, 0, 0, 0];
	const value = (register: number): number => {
		const held = registers[register];
		if (typeof held !== 'number') throw new Error(`r${register} is no number`);
		return held;
	};
	const assertContext = (register: number): void => {
		if (registers[register] !== 'context') throw new Error(`r${register} does not point to the context`);
	};
	for (let at = 0; at < code.length / 8; at++) {
		const operation = code.readUInt8(at * 8);
		const [dst, src] = [code.readUInt8(at * 8 + 1) & 15, code.readUInt8(at * 8 + 1) >> 4];
		const [offset, imm] = [code.readInt16LE(at * 8 + 2), code.readUInt32LE(at * 8 + 4)];
		switch (operation) {
			case BPF_CODE.LOAD_U32:
				assertContext(src);
				registers[dst] = memory.readUInt32LE(offset);
				break;
			case BPF_CODE.STORE_U32:
				assertContext(dst);
				memory.writeUInt32LE(value(src), offset);
				break;
			case BPF_CODE.MOVE_IMM:
				registers[dst] = imm;
				break;
			case BPF_CODE.MOVE:
				registers[dst] = value(src);
				break;
			case BPF_CODE.AND_IMM:
				registers[dst] = (value(dst) & imm) >>> 0;
				break;
			case BPF_CODE.SHIFT_RIGHT_IMM:
				registers[dst] = value(dst) >>> imm;
				break;
			case BPF_CODE.JUMP_IF_NOT_IMM:
				// The kernel refuses to go backwards without need; so do we.
				if (offset < 0) throw new Error(`instruction ${at} jumps back`);
				if (value(dst) !== imm) at += offset;
				break;
			case BPF_CODE.EXIT:
				return value(0);
			default:
				throw new Error(`instruction ${at} has the unknown code 0x${operation.toString(16)}`);
		}
	}
	throw new Error('the program ends without an exit');
}
