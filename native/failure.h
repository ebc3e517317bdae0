/* What failed: becomes the status, TAG_ERROR_STAGE and TAG_ERROR_PATH of a reply. */
#ifndef BERTH_FAILURE_H
#define BERTH_FAILURE_H

#include "text.h"

struct failure {
	/* An errno; 0: nothing failed. */
	int error;
	char stage[28];
	/* Cut when longer. */
	char path[480];
};

/* All three return -1, for `return fail(…)`. The first failure is the cause: later ones do not replace it. */
int fail(struct failure *failure, int error, const char *stage);
int fail_at(struct failure *failure, int error, const char *stage, const char *path);
int fail_at_span(struct failure *failure, int error, const char *stage, struct span path);

#endif
