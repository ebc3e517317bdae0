/* Tests of what is taken from processes that others may trace: reports of inits, descriptors, filesystem contexts. Ends with "N passed, N failed". */
#include "kernel.h"
#include "init/steps.h"
#include "monitor/monitor.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static unsigned passed, failed;

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("failed: %s\n", what);
}

/* exit.c's: report.c asks it. */
bool is_known(pid_t pid)
{
	(void)pid;
	return false;
}

static unsigned count_fds(void)
{
	unsigned count = 0;
	DIR *listing = opendir("/proc/self/fd");
	while (listing != NULL && readdir(listing) != NULL)
		count++;
	if (listing != NULL)
		closedir(listing);
	return count;
}

static void send_with_fds(int socket_fd, const void *bytes, size_t length, int fd, unsigned fd_count)
{
	enum { MOST = 8 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MOST * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd_count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		for (unsigned i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(item) + i * sizeof(int), &fd, sizeof fd);
	}
	if (sendmsg(socket_fd, &header, 0) != (ssize_t)length)
		abort();
}

static void test_descriptors(void)
{
	static struct sent_report sent;
	struct init_report report = {.kind = INIT_TERMINAL};
	struct failure failure = {0};
	size_t length = offsetof(struct init_report, gids);
	int pair[2];
	if (open_control(pair, &failure) != 0)
		abort();
	send_with_fds(pair[1], &report, length, 0, 1);
	check(receive_report(pair[0], &sent) == 1 && sent.fd >= 0 && sent.sender == getpid(), "one descriptor comes, and who sent it");
	close(sent.fd);
	unsigned before = count_fds();
	for (unsigned count = 2; count <= 5; count++) {
		send_with_fds(pair[1], &report, length, 0, count);
		check(receive_report(pair[0], &sent) == 1 && sent.fd == -1 && sent.sender == getpid(), "several descriptors are none");
	}
	check(count_fds() == before, "and are closed");
	send_with_fds(pair[1], "short", 5, 0, 1);
	check(receive_report(pair[0], &sent) == 1 && sent.fd == -1 && sent.report.kind == 0, "what is too short says nothing");
	send_with_fds(pair[1], "", 0, 0, 1);
	check(receive_report(pair[0], &sent) == -1, "an empty packet is an end");
	check(count_fds() == before, "their descriptors are closed");
	check(receive_report(pair[0], &sent) == 0, "nothing more");
	close(pair[1]);
	check(receive_report(pair[0], &sent) == -1, "closed");
	close(pair[0]);
}

/* What fsopen(2) says of one's own context: NULL as `source` gives none. */
static int open_context(const char *type, const char *source)
{
	int fd = kernel_fsopen(type);
	if (fd < 0 || (source != NULL && kernel_fsconfig(fd, FSCONFIG_SET_STRING_, "source", source) != 0))
		abort();
	return fd;
}

static bool makes_proc(int fs_fd)
{
	if (kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) != 0)
		abort();
	int fd = kernel_fsmount(fs_fd, 0);
	if (fd < 0)
		abort();
	bool right = check_proc_mount(fd) == 0;
	close(fd);
	close(fs_fd);
	return right;
}

static void run_contexts(void)
{
	int fd = open_context("proc", NULL);
	check(claim_proc_context(fd) == 0 && makes_proc(fd), "a fresh procfs is taken");
	fd = open_context("proc", "/dev/null");
	check(claim_proc_context(fd) != 0, "one with a source is not");
	close(fd);
	fd = open_context("tmpfs", NULL);
	check(claim_proc_context(fd) == 0 && !makes_proc(fd), "another filesystem is found out");
}

/* In a PID and a mount namespace of its own, where a procfs may be mounted. */
_Noreturn static void run_apart(void)
{
	int status = 0;
	if (unshare((geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWPID) != 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		passed = failed = 0;
		run_contexts();
		fflush(stdout);
		_exit((int)(failed << 4 | passed));
	}
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1 << 4);
}

static void test_contexts(void)
{
	int status = 1 << 12;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		run_apart();
	waitpid(pid, &status, 0);
	check(WIFEXITED(status), "the contexts were tried");
	passed += (unsigned)WEXITSTATUS(status) & 15u;
	failed += (unsigned)WEXITSTATUS(status) >> 4;
}

int main(void)
{
	test_descriptors();
	test_contexts();
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
