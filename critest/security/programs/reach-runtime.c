/*
 * reach-runtime PID…: in the node's PID namespace, tries to read, trace and take descriptors of those processes, which are the runtime's. "FOUND …"
 * for each way that worked. Nothing of them is changed: what is attached to is let go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long tries;

static void found(const char *what, const char *where)
{
	printf("FOUND %s %s\n", what, where);
	fflush(stdout);
}

static void try_files(const char *pid)
{
	static const char *const files[] = {"mem", "environ", "maps", "smaps", "auxv", "pagemap", "syscall", "stack", "personality", "io"};
	char path[128];
	char bytes[64];
	for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, files[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		tries++;
		/* Memory is none at 0; that it was opened is what counts. An environment may be empty. */
		if (fd >= 0 && (strcmp(files[i], "mem") == 0 || read(fd, bytes, sizeof bytes) > 0))
			found("file", path);
		if (fd >= 0)
			close(fd);
	}
}

static void try_links(const char *pid)
{
	static const char *const links[] = {"root", "cwd", "exe", "ns/mnt", "ns/net", "ns/pid", "ns/user", "fd/0", "fd/3", "fd/4", "fd/5", "fd/6", "fd/7", "fd/8", "fd/9"};
	char path[128];
	char target[4096];
	for (unsigned i = 0; i < sizeof links / sizeof links[0]; i++) {
		snprintf(path, sizeof path, "/proc/%s/%s", pid, links[i]);
		tries += 2;
		if (readlink(path, target, sizeof target) > 0)
			found("link", path);
		int fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			found("opened", path);
		if (fd >= 0)
			close(fd);
	}
}

/* Not fd: its numbers, but not what they are of, are shown to whoever has the same user. */
static void try_directories(const char *pid)
{
	static const char *const directories[] = {"fdinfo", "map_files"};
	for (unsigned i = 0; i < sizeof directories / sizeof directories[0]; i++) {
		char path[128];
		struct dirent *entry;
		snprintf(path, sizeof path, "/proc/%s/%s", pid, directories[i]);
		tries++;
		DIR *listing = opendir(path);
		/* "." and ".." are there for whoever may open it. */
		while (listing != NULL && (entry = readdir(listing)) != NULL)
			if (entry->d_name[0] != '.') {
				found("listed", path);
				break;
			}
		if (listing != NULL)
			closedir(listing);
	}
}

static void try_memory(const char *pid)
{
	char bytes[8];
	struct iovec here = {bytes, sizeof bytes};
	struct iovec there = {(void *)0x1000, sizeof bytes};
	/* EFAULT: it was let in, and that address is none. */
	tries += 2;
	if (process_vm_readv(atoi(pid), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
		found("process_vm_readv", pid);
	if (process_vm_writev(atoi(pid), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
		found("process_vm_writev", pid);
}

static void try_descriptors(const char *pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	for (int fd = 0; pidfd >= 0 && fd < 32; fd++) {
		int got = (int)syscall(438 /* pidfd_getfd */, pidfd, fd, 0);
		tries++;
		/* EBADF: it was let in, and there is none of that number. */
		if (got >= 0 || errno == EBADF)
			found("pidfd_getfd", pid);
		if (got >= 0)
			close(got);
	}
	if (pidfd >= 0)
		close(pidfd);
}

static void try_to_trace(const char *pid)
{
	int status;
	tries += 2;
	if (ptrace(PTRACE_SEIZE, atoi(pid), NULL, NULL) != 0 && ptrace(PTRACE_ATTACH, atoi(pid), NULL, NULL) != 0)
		return;
	found("traced", pid);
	ptrace(PTRACE_INTERRUPT, atoi(pid), NULL, NULL);
	if (waitpid(atoi(pid), &status, __WALL) > 0)
		ptrace(PTRACE_DETACH, atoi(pid), NULL, NULL);
}

int main(int count, char **arguments)
{
	/* Where it can be seen, it is the runtime's: the test says which. Where not, the numbers mean nothing. */
	unsigned seen = 0;
	for (int i = 1; i < count; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s/stat", arguments[i]);
		seen += access(path, F_OK) == 0;
		try_files(arguments[i]);
		try_links(arguments[i]);
		try_directories(arguments[i]);
		try_memory(arguments[i]);
		try_descriptors(arguments[i]);
		try_to_trace(arguments[i]);
	}
	printf("tries %lu seen %u\n", tries, seen);
	return 0;
}
