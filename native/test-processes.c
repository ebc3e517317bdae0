#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char bytes[1 << 17];
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return 2;
	/* A pipe takes what fits: a part. The error of something before it would otherwise be told, or none at all. */
	errno = ENOENT;
	int part = write_whole(ends[1], bytes, sizeof bytes);
	bool right = part == -1 && errno == EIO;
	char drained[1 << 16];
	right = right && read(ends[0], drained, sizeof drained) > 0 && write_whole(ends[1], "x", 1) == 0;
	close(ends[0]);
	close(ends[1]);
	right = right && write_whole(ends[1], "x", 1) == -1 && errno == EBADF;
	printf("%u passed, %u failed\n", right, !right);
	return !right;
}
