#include "kernel.h"
#include "passed-fd.h"

#include <string.h>

int take_passed_fd(struct msghdr *header)
{
	int first = -1;
	unsigned count = 0;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		size_t end = item->cmsg_len - CMSG_LEN(0);
		for (size_t at = 0; at + sizeof(int) <= end; at += sizeof(int), count++) {
			int fd;
			memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
			if (count == 0)
				first = fd;
			else
				close(fd);
		}
	}
	if (count <= 1)
		return first;
	close(first);
	return -1;
}
