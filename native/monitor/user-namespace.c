/* The pod's user namespace. */
#include "../kernel.h"
#include "monitor.h"

#include <sys/wait.h>

/* One write: the kernel takes no second one. */
static int write_map(pid_t pid, const char *name, uint32_t first, uint32_t count)
{
	char path[64];
	char line[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/");
	text_add(&text, name);
	struct text map = text_over(line, sizeof line);
	text_add(&map, "0 ");
	text_add_u64(&map, first);
	text_add(&map, " ");
	text_add_u64(&map, count);
	text_add(&map, "\n");
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, line, map.length);
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return written == (ssize_t)map.length ? 0 : -1;
}

static int open_user_namespace(pid_t pid)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/ns/user");
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int take_over(struct span mapping, pid_t pid, int pidfd, int flags, struct failure *failure)
{
	struct user_namespace *made = &monitor.user_namespace;
	made->root_uid = get_u32(mapping, TAG_FIRST_UID, 0);
	made->root_gid = get_u32(mapping, TAG_FIRST_GID, 0);
	if (write_map(pid, "uid_map", made->root_uid, get_u32(mapping, TAG_UID_COUNT, 0)) != 0)
		return fail_at(failure, errno, "map ids", "uid_map");
	if (write_map(pid, "gid_map", made->root_gid, get_u32(mapping, TAG_GID_COUNT, 0)) != 0)
		return fail_at(failure, errno, "map ids", "gid_map");
	made->fd = open_user_namespace(pid);
	if (made->fd < 0)
		return fail(failure, errno, "open user namespace");
	return flags == 0 || setns(pidfd, flags) == 0 ? 0 : fail(failure, errno, "enter namespaces");
}

int make_user_namespace(struct span mapping, uint32_t *namespaces, struct failure *failure)
{
	int ends[2];
	int pidfd = -1;
	char end;
	int flags = (*namespaces & POD_NAMESPACE_NETWORK ? CLONE_NEWNET : 0) | (*namespaces & POD_NAMESPACE_IPC ? CLONE_NEWIPC : 0) |
		    (*namespaces & POD_NAMESPACE_UTS ? CLONE_NEWUTS : 0);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail(failure, errno, "user namespace");
	/* With CLONE_NEWUSER among them the others are made in, and so owned by, the new user namespace. The child only holds them until we do. */
	pid_t pid = kernel_clone((uint64_t)(unsigned)flags | CLONE_NEWUSER, &pidfd);
	if (pid == 0) {
		close(ends[1]);
		(void)!read(ends[0], &end, 1);
		_exit(0);
	}
	int result = pid < 0 ? fail(failure, errno, "user namespace") : take_over(mapping, pid, pidfd, flags, failure);
	close(ends[0]);
	close(ends[1]);
	if (pid > 0) {
		waitpid(pid, NULL, __WALL);
		close(pidfd);
	}
	*namespaces &= ~(uint32_t)(POD_NAMESPACE_NETWORK | POD_NAMESPACE_IPC | POD_NAMESPACE_UTS);
	return result;
}
