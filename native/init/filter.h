/* What a seccomp program would say, without loading it. */
#ifndef BERTH_INIT_FILTER_H
#define BERTH_INIT_FILTER_H

#include "../text.h"

/* A system call of this process: number and arguments. */
struct filter_call {
	uint64_t arguments[6];
	int number;
};

/* True when the program (struct sock_filter[], as seccomp(2) takes it) surely lets the call pass. False also for one that is malformed. */
bool filter_passes(struct span program, const struct filter_call *call);

#endif
