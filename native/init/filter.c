/*
 * Classic BPF as seccomp(2) restricts it: the kernel's include/uapi/linux/bpf_common.h and filter.h for the codes, seccomp_check_filter() in
 * kernel/seccomp.c for those that it takes. Jumps only go forward, so every program ends.
 */
#include "../kernel.h"
#include "filter.h"

#include <string.h>

enum { MEMORY_WORDS = 16, INSTRUCTION_BYTES = 8, MAX_INSTRUCTIONS = 4096 };

/* linux/audit.h */
#if defined(__x86_64__)
#define OWN_ARCHITECTURE 0xC000003Eu
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE 0xC00000B7u
#else
#define OWN_ARCHITECTURE 0u
#endif

#define ACTION_MASK 0xffff0000u
#define ACTION_ALLOW 0x7fff0000u
#define ACTION_LOG 0x7ffc0000u

struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};

struct machine {
	uint32_t a, x;
	uint32_t memory[MEMORY_WORDS];
	/* struct seccomp_data, as words. */
	uint32_t data[16];
};

static void fill_data(uint32_t data[16], const struct filter_call *call)
{
	memset(data, 0, 16 * sizeof *data);
	data[0] = (uint32_t)call->number;
	data[1] = OWN_ARCHITECTURE;
	/* Words 2 and 3: the instruction pointer, which nobody knows. */
	memcpy(&data[4], call->arguments, sizeof call->arguments);
}

/* BPF_ALU. False: no such operation, or by zero. */
static bool calculate(struct machine *machine, uint16_t code, uint32_t k)
{
	uint32_t operand = code & 0x08 ? machine->x : k;
	uint32_t *a = &machine->a;
	switch (code & 0xf0) {
	case 0x00:
		*a += operand;
		return true;
	case 0x10:
		*a -= operand;
		return true;
	case 0x20:
		*a *= operand;
		return true;
	case 0x30:
		if (operand != 0)
			*a /= operand;
		return operand != 0;
	case 0x40:
		*a |= operand;
		return true;
	case 0x50:
		*a &= operand;
		return true;
	case 0x60:
		*a = operand < 32 ? *a << operand : 0;
		return true;
	case 0x70:
		*a = operand < 32 ? *a >> operand : 0;
		return true;
	case 0x80:
		*a = 0u - *a;
		return true;
	case 0xa0:
		*a ^= operand;
		return true;
	default:
		return false;
	}
}

/* BPF_JMP: how many instructions are passed over. False: no such condition. */
static bool jump(const struct machine *machine, const struct instruction *at, uint32_t *distance)
{
	uint32_t operand = at->code & 0x08 ? machine->x : at->k;
	bool holds;
	switch (at->code & 0xf0) {
	case 0x00:
		*distance = at->k;
		return true;
	case 0x10:
		holds = machine->a == operand;
		break;
	case 0x20:
		holds = machine->a > operand;
		break;
	case 0x30:
		holds = machine->a >= operand;
		break;
	case 0x40:
		holds = (machine->a & operand) != 0;
		break;
	default:
		return false;
	}
	*distance = holds ? at->yes : at->no;
	return true;
}

/* BPF_LD, BPF_LDX, BPF_ST, BPF_STX and BPF_MISC. */
static bool move(struct machine *machine, const struct instruction *at)
{
	bool in_memory = at->k < MEMORY_WORDS;
	switch (at->code) {
	case 0x20: /* LD|W|ABS */
		machine->a = at->k % 4 == 0 && at->k < 64 ? machine->data[at->k / 4] : 0;
		return at->k % 4 == 0 && at->k < 64;
	case 0x80: /* LD|W|LEN */
		machine->a = sizeof machine->data;
		return true;
	case 0x81: /* LDX|W|LEN */
		machine->x = sizeof machine->data;
		return true;
	case 0x00: /* LD|IMM */
		machine->a = at->k;
		return true;
	case 0x01: /* LDX|IMM */
		machine->x = at->k;
		return true;
	case 0x60: /* LD|MEM */
		machine->a = in_memory ? machine->memory[at->k] : 0;
		return in_memory;
	case 0x61: /* LDX|MEM */
		machine->x = in_memory ? machine->memory[at->k] : 0;
		return in_memory;
	case 0x02: /* ST */
	case 0x03: /* STX */
		if (in_memory)
			machine->memory[at->k] = at->code == 0x02 ? machine->a : machine->x;
		return in_memory;
	case 0x07: /* TAX */
		machine->x = machine->a;
		return true;
	case 0x87: /* TXA */
		machine->a = machine->x;
		return true;
	default:
		return false;
	}
}

static bool is_allowed(uint32_t action)
{
	return (action & ACTION_MASK) == ACTION_ALLOW || (action & ACTION_MASK) == ACTION_LOG;
}

bool filter_passes(struct span program, const struct filter_call *call)
{
	uint32_t count = program.length / INSTRUCTION_BYTES;
	struct machine machine = {0};
	if (program.length % INSTRUCTION_BYTES != 0 || count > MAX_INSTRUCTIONS || OWN_ARCHITECTURE == 0)
		return false;
	fill_data(machine.data, call);
	for (uint32_t i = 0; i < count; i++) {
		struct instruction at;
		uint32_t distance = 0;
		memcpy(&at, program.bytes + (size_t)i * INSTRUCTION_BYTES, sizeof at);
		bool right;
		switch (at.code & 0x07) {
		case 0x04:
			right = calculate(&machine, at.code, at.k);
			break;
		case 0x05:
			right = jump(&machine, &at, &distance);
			break;
		case 0x06:
			return is_allowed(at.code & 0x10 ? machine.a : at.k);
		default:
			right = move(&machine, &at);
			break;
		}
		if (!right || distance >= count - i)
			return false;
		i += distance;
	}
	return false;
}
