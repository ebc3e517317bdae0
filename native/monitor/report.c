/* The control sockets of inits. */
#include "../kernel.h"
#include "../passed-fd.h"
#include "monitor.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

int open_control(int pair[2], struct failure *failure)
{
	int on = 1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, errno, "socketpair");
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
		return 0;
	fail(failure, errno, "socketpair");
	close(pair[0]);
	close(pair[1]);
	return -1;
}

static void take_ancillary(struct msghdr *header, struct sent_report *sent)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
		struct ucred credentials;
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_CREDENTIALS || item->cmsg_len != CMSG_LEN(sizeof credentials))
			continue;
		memcpy(&credentials, CMSG_DATA(item), sizeof credentials);
		sent->sender = credentials.pid;
	}
	sent->fd = take_passed_fd(header);
}

/* Whatever was sent, what is read of it is there and ends. */
static void make_whole(struct init_report *report, size_t length)
{
	size_t gids = length < offsetof(struct init_report, gids) ? 0 : (length - offsetof(struct init_report, gids)) / sizeof report->gids[0];
	if (report->gid_count > gids)
		report->gid_count = (uint32_t)gids;
	report->failure.stage[sizeof report->failure.stage - 1] = 0;
	report->failure.path[sizeof report->failure.path - 1] = 0;
	if (report->kind == INIT_FAILED && report->failure.error <= 0)
		report->failure.error = EPROTO;
}

int receive_report(int fd, struct sent_report *sent)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&sent->report, sizeof sent->report};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	sent->sender = 0;
	sent->fd = -1;
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/* It ended without reading what it was told: that is said once, ahead of what it told before its end (unix_release_sock in net/unix/af_unix.c). */
	if (length < 0 && errno == ECONNRESET)
		length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	take_ancillary(&header, sent);
	if (length >= (ssize_t)offsetof(struct init_report, gids)) {
		make_whole(&sent->report, (size_t)length);
		return 1;
	}
	if (sent->fd >= 0)
		close(sent->fd);
	sent->fd = -1;
	/* Nothing that an init says; of kind 0, so that nobody takes it for anything. */
	sent->report.kind = 0;
	return length == 0 ? -1 : 1;
}

bool is_true_report(const struct sent_report *sent, pid_t known, bool ready)
{
	siginfo_t info;
	if (sent->sender == known && known > 0)
		return true;
	return !ready && sent->report.kind == INIT_READY && sent->sender > 0 && !is_known(sent->sender) &&
	       waitid(P_PID, (id_t)sent->sender, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}
