/* What a seccomp program would say, against what the kernel says: each program is loaded by a child, which then makes the call. */
#include "init/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};

enum { ALLOW = 0x7fff0000, REFUSE = 0x00050001, KILL = 0 };

static unsigned passed;
static unsigned failed;

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("FAILED: %s\n", what);
}

static struct span program_of(const struct instruction *instructions, unsigned count)
{
	return (struct span){(const uint8_t *)instructions, count * (uint32_t)sizeof *instructions};
}

/* 1: passed, 0: it did not, -1: the kernel does not take the program. */
static int ask_kernel(struct span program, const struct filter_call *call)
{
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		struct {
			uint16_t count;
			const void *filter;
		} argument = {(uint16_t)(program.length / 8), program.bytes};
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (prctl(PR_SET_SECCOMP, 2, &argument, 0, 0) != 0)
			_exit(2);
		errno = 0;
		long result = syscall(call->number, call->arguments[0], call->arguments[1], call->arguments[2], call->arguments[3]);
		/* By a call that none of the programs refuses. */
		_exit(result < 0 && errno == EPERM ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return 0;
	return WEXITSTATUS(status) == 2 ? -1 : WEXITSTATUS(status);
}

static void compare(struct span program, const struct filter_call *call, const char *what)
{
	int kernel = ask_kernel(program, call);
	check(kernel >= 0 && filter_passes(program, call) == (kernel == 1), what);
}

static void test_against_kernel(void)
{
	const struct instruction by_number[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, SYS_getppid}, {0x06, 0, 0, REFUSE}, {0x06, 0, 0, ALLOW}};
	const struct instruction by_argument[] = {
		{0x20, 0, 0, 0}, {0x15, 0, 4, SYS_umask}, {0x20, 0, 0, 16}, {0x54, 0, 0, 0x12}, {0x15, 0, 1, 0x10}, {0x06, 0, 0, REFUSE}, {0x06, 0, 0, ALLOW},
	};
	/* a = (nr * 2 + 3) ^ 1, kept in memory and compared by x. */
	const struct instruction arithmetic[] = {
		{0x20, 0, 0, 0}, {0x24, 0, 0, 2}, {0x04, 0, 0, 3}, {0xa4, 0, 0, 1}, {0x02, 0, 0, 5}, {0x01, 0, 0, ((SYS_getppid * 2 + 3) ^ 1)}, {0x60, 0, 0, 5},
		{0x1d, 0, 1, 0}, {0x06, 0, 0, REFUSE}, {0x06, 0, 0, ALLOW},
	};
	const struct instruction foreign[] = {{0x20, 0, 0, 4}, {0x15, 1, 0, 0x40000003}, {0x06, 0, 0, ALLOW}, {0x06, 0, 0, KILL}};
	const struct filter_call parent = {.number = SYS_getppid};
	const struct filter_call pid = {.number = SYS_getpid};
	const struct filter_call mask = {.number = SYS_umask, .arguments = {0x10}};
	const struct filter_call other_mask = {.number = SYS_umask, .arguments = {0x12}};
	compare(program_of(by_number, 4), &parent, "refused by number");
	compare(program_of(by_number, 4), &pid, "another number passes");
	compare(program_of(by_argument, 7), &mask, "an argument, masked");
	compare(program_of(by_argument, 7), &other_mask, "another argument");
	compare(program_of(arithmetic, 10), &parent, "arithmetic, memory and x");
	compare(program_of(arithmetic, 10), &pid, "the same for another call");
	compare(program_of(foreign, 4), &pid, "the architecture is ours");
	check(!filter_passes(program_of(by_number, 4), &parent) && filter_passes(program_of(by_number, 4), &pid), "the verdicts differ");
}

static void test_malformed(void)
{
	const struct instruction far[] = {{0x05, 0, 0, 7}, {0x06, 0, 0, ALLOW}};
	const struct instruction farther[] = {{0x05, 0, 0, 0xffffffff}, {0x06, 0, 0, ALLOW}};
	const struct instruction endless[] = {{0x20, 0, 0, 0}};
	const struct instruction outside[] = {{0x20, 0, 0, 64}, {0x06, 0, 0, ALLOW}};
	const struct instruction zero[] = {{0x34, 0, 0, 0}, {0x06, 0, 0, ALLOW}};
	const struct instruction memory[] = {{0x60, 0, 0, 16}, {0x06, 0, 0, ALLOW}};
	const struct filter_call call = {.number = SYS_getpid};
	check(!filter_passes(program_of(far, 2), &call), "a jump beyond the end");
	check(!filter_passes(program_of(farther, 2), &call), "a jump that wraps around");
	check(!filter_passes(program_of(endless, 1), &call), "no return");
	check(!filter_passes(program_of(outside, 2), &call), "data beyond its end");
	check(!filter_passes(program_of(zero, 2), &call), "a division by zero");
	check(!filter_passes(program_of(memory, 2), &call), "memory beyond its end");
	check(!filter_passes((struct span){(const uint8_t *)far, 7}, &call), "half an instruction");
	check(!filter_passes((struct span){NULL, 0}, &call), "nothing");
}

int main(void)
{
	test_against_kernel();
	test_malformed();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
