/*
 * A procfs shows the PID namespace of the process that called fsopen(2) for it, and the init is not in its container's yet. Hence a process
 * that is, and does nothing else. It is seen there like any other, so it has nothing: an empty root, no descriptor but its socket, and the
 * capability that fsopen needs only in a user namespace of its own. What makes a mount of the context is checked against who does that, which is
 * us: hence what comes is not trusted to be what was asked for.
 */
#include "../kernel.h"
#include "../connection-io.h"
#include "../empty-root.h"
#include "../passed-fd.h"
#include "../processes.h"
#include "steps.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Long for a system call; a process of the namespace may have stopped it. */
enum { DEADLINE_MS = 5000 };

struct answer {
	int error;
};

static void send_answer(int socket_fd, int error, int fs_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct answer answer = {error};
	struct iovec iov = {&answer, sizeof answer};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fs_fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(item), &fs_fd, sizeof(int));
	}
	sendmsg(socket_fd, &header, MSG_NOSIGNAL);
}

/* In the node's PID namespace: gives everything up, then clones the one that is seen. */
_Noreturn static void run_opener(int socket_fd, int inside_pidfd)
{
	int keep[] = {socket_fd, inside_pidfd};
	close_other_fds(keep, 2);
	forget_message();
	prctl(PR_SET_NAME, "berth-proc", 0, 0, 0);
	setsid();
	pid_t pid = -1;
	if (enter_empty_root() == 0 && setns(inside_pidfd, CLONE_NEWPID) == 0 && close(inside_pidfd) == 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
		pid = kernel_clone(0, NULL);
	if (pid < 0)
		send_answer(socket_fd, errno, -1);
	if (pid == 0) {
		int fd = kernel_fsopen("proc");
		send_answer(socket_fd, fd < 0 ? errno : 0, fd);
	}
	_exit(0);
}

/* The context's fd, or -1 with errno. */
static int receive_answer(int socket_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct answer answer = {EPROTO};
	struct iovec iov = {&answer, sizeof answer};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct pollfd waiting = {.fd = socket_fd, .events = POLLIN};
	int fd = -1;
	int ready = poll(&waiting, 1, DEADLINE_MS);
	if (ready != 1) {
		errno = ready == 0 ? ETIMEDOUT : errno;
		return -1;
	}
	ssize_t length = recvmsg(socket_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length >= 0)
		fd = take_passed_fd(&header);
	if (fd < 0)
		errno = length == (ssize_t)sizeof answer && answer.error > 0 ? answer.error : ECHILD;
	return fd;
}

int open_proc_inside(struct init *init)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(&init->report.failure, errno, "socketpair");
	pid_t pid = kernel_clone(0, NULL);
	if (pid == 0)
		run_opener(pair[1], init->job->inside_pidfd);
	close(pair[1]);
	int fd = pid < 0 ? -1 : receive_answer(pair[0]);
	int error = errno;
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, __WALL);
	if (fd >= 0 && claim_proc_context(fd) != 0) {
		error = errno;
		close(fd);
		fd = -1;
	}
	return fd >= 0 ? fd : fail(&init->report.failure, error, "open proc of pid namespace");
}
