#include "failure.h"

#include <errno.h>
#include <string.h>

int fail_at_span(struct failure *failure, int error, const char *stage, struct span path)
{
	if (failure->error != 0)
		return -1;
	failure->error = error == 0 ? EIO : error;
	struct text stage_text = text_over(failure->stage, sizeof failure->stage);
	text_add(&stage_text, stage);
	struct text path_text = text_over(failure->path, sizeof failure->path);
	text_add_span(&path_text, path);
	return -1;
}

int fail_at(struct failure *failure, int error, const char *stage, const char *path)
{
	return fail_at_span(failure, error, stage, span_of(path));
}

int fail(struct failure *failure, int error, const char *stage)
{
	return fail_at_span(failure, error, stage, (struct span){NULL, 0});
}
