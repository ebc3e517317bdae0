/* The pod's user namespace, and those that lend their mappings to a mount. */
#include "../kernel.h"
#include "../processes.h"
#include "monitor.h"

#include <sys/wait.h>

/* What the kernel takes for a map in its one write. */
enum { MAP_BYTES = 4096 };

/* One write: the kernel takes no second one. */
static int write_map(pid_t pid, const char *name, const struct text *map)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/");
	text_add(&text, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : write_whole(fd, map->bytes, map->length);
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return result;
}

static void add_range(struct text *map, uint32_t inside, uint32_t outside, uint32_t count)
{
	text_add_u64(map, inside);
	text_add(map, " ");
	text_add_u64(map, outside);
	text_add(map, " ");
	text_add_u64(map, count);
	text_add(map, "\n");
}

static int write_range(pid_t pid, const char *name, uint32_t first, uint32_t count)
{
	char line[64];
	struct text map = text_over(line, sizeof line);
	add_range(&map, 0, first, count);
	return write_map(pid, name, &map);
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
	if (write_range(pid, "uid_map", made->root_uid, get_u32(mapping, TAG_UID_COUNT, 0)) != 0)
		return fail_at(failure, errno, "map ids", "uid_map");
	if (write_range(pid, "gid_map", made->root_gid, get_u32(mapping, TAG_GID_COUNT, 0)) != 0)
		return fail_at(failure, errno, "map ids", "gid_map");
	made->fd = open_user_namespace(pid);
	if (made->fd < 0)
		return fail(failure, errno, "open user namespace");
	return flags == 0 || setns(pidfd, flags) == 0 ? 0 : fail(failure, errno, "enter namespaces");
}

/* A child in a new user namespace, and in what else `flags` say, that does nothing until `release` is closed. -1 with errno. */
static pid_t clone_holder(int flags, int *pidfd, int *release)
{
	int ends[2];
	char end;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	/* With CLONE_NEWUSER among them the others are made in, and so owned by, the new user namespace. The child only holds them until we do. */
	pid_t pid = kernel_clone((uint64_t)(unsigned)flags | CLONE_NEWUSER, pidfd);
	if (pid == 0) {
		close(ends[1]);
		(void)!read(ends[0], &end, 1);
		_exit(0);
	}
	int error = errno;
	close(ends[0]);
	*release = ends[1];
	if (pid < 0)
		close(ends[1]);
	errno = error;
	return pid;
}

static void end_holder(pid_t pid, int pidfd, int release)
{
	int error = errno;
	close(release);
	waitpid(pid, NULL, __WALL);
	close(pidfd);
	errno = error;
}

int make_user_namespace(struct span mapping, uint32_t *namespaces, struct failure *failure)
{
	int pidfd;
	int release;
	int flags = (*namespaces & POD_NAMESPACE_NETWORK ? CLONE_NEWNET : 0) | (*namespaces & POD_NAMESPACE_IPC ? CLONE_NEWIPC : 0) |
		    (*namespaces & POD_NAMESPACE_UTS ? CLONE_NEWUTS : 0);
	pid_t pid = clone_holder(flags, &pidfd, &release);
	if (pid < 0)
		return fail(failure, errno, "user namespace");
	int result = take_over(mapping, pid, pidfd, flags, failure);
	end_holder(pid, pidfd, release);
	*namespaces &= ~(uint32_t)(POD_NAMESPACE_NETWORK | POD_NAMESPACE_IPC | POD_NAMESPACE_UTS);
	return result;
}

static int write_maps(pid_t pid, struct span mount, uint16_t tag, const char *name)
{
	char lines[MAP_BYTES];
	struct text map = text_over(lines, sizeof lines);
	struct span one;
	while (next_with_tag(&mount, tag, &one))
		add_range(&map, get_u32(one, TAG_INSIDE_ID, 0), get_u32(one, TAG_OUTSIDE_ID, 0), get_u32(one, TAG_ID_COUNT, 0));
	if (!map.cut)
		return write_map(pid, name, &map);
	errno = E2BIG;
	return -1;
}

static int map_mount_by_itself(int mount_fd, struct span mount)
{
	int pidfd;
	int release;
	pid_t pid = clone_holder(0, &pidfd, &release);
	if (pid < 0)
		return -1;
	struct mount_attributes mapped = {.set = ATTR_IDMAP};
	int fd = -1;
	if (write_maps(pid, mount, TAG_UID_MAP, "uid_map") == 0 && write_maps(pid, mount, TAG_GID_MAP, "gid_map") == 0)
		fd = open_user_namespace(pid);
	mapped.userns_fd = (uint64_t)fd;
	int result = fd < 0 ? -1 : kernel_map_mount(mount_fd, &mapped);
	if (fd >= 0)
		close(fd);
	end_holder(pid, pidfd, release);
	return result;
}

int map_mounts(struct message *message, struct failure *failure)
{
	struct span rest = message->body;
	struct span mount;
	while (next_with_tag(&rest, TAG_MOUNT, &mount))
		if (has_tag(mount, TAG_UID_MAP) && has_tag(mount, TAG_MOUNT_FD) &&
		    map_mount_by_itself(message->fds[get_u32(mount, TAG_MOUNT_FD, 0)], mount) != 0)
			return fail_at_span(failure, errno, "id-map volume", get_span_or_empty(mount, TAG_PATH));
	return 0;
}
