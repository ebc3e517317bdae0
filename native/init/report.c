/* What the init tells the monitor. */
#include "../kernel.h"
#include "steps.h"

#include <string.h>
#include <sys/socket.h>

void report(struct init *init, uint32_t kind, int passed_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	init->report.kind = kind;
	size_t length = offsetof(struct init_report, gids) + init->report.gid_count * sizeof(uint32_t);
	struct iovec iov = {&init->report, length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	if (passed_fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(item), &passed_fd, sizeof(int));
	}
	sendmsg(init->job->control_fd, &header, MSG_NOSIGNAL);
}

_Noreturn void end_init(struct init *init)
{
	int error = init->report.failure.error;
	report(init, INIT_FAILED, -1);
	_exit(error == ENOENT ? 127 : 126);
}
