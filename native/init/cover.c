/* Masked and read-only paths. Everything goes by fds of what was checked, so that nothing can be swapped in between. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* What is covered below /proc must be procfs: else the cover lies on a decoy and the real file stays open elsewhere. */
static int check_kernel_view(struct init *init, int fd, struct span path)
{
	struct statfs status;
	if (path.length < 6 || memcmp(path.bytes, "/proc/", 6) != 0)
		return 0;
	if (fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC_)
		return 0;
	return fail_at_span(&init->report.failure, EXDEV, "cover path", path);
}

/* 0: nothing there. */
static int open_covered(struct init *init, struct span path, int *fd)
{
	*fd = open_in_root(init->root_fd, path, 0);
	if (*fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail_at_span(&init->report.failure, errno, "cover path", path);
	if (check_kernel_view(init, *fd, path) == 0)
		return 1;
	close(*fd);
	return -1;
}

static int make_readonly(struct init *init, struct span path)
{
	struct mount_attributes readonly = {.set = ATTR_RDONLY};
	int fd;
	int there = open_covered(init, path, &fd);
	if (there <= 0)
		return there;
	int clone_fd = kernel_open_tree(fd, "", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_EMPTY_PATH | AT_RECURSIVE_);
	int result = clone_fd;
	if (clone_fd >= 0) {
		result = kernel_mount_setattr(clone_fd, AT_RECURSIVE_, &readonly);
		if (result == 0)
			result = kernel_move_mount(clone_fd, fd);
	}
	int error = errno;
	if (clone_fd >= 0)
		close(clone_fd);
	close(fd);
	return result >= 0 ? 0 : fail_at_span(&init->report.failure, error, "read-only path", path);
}

/* The host's /dev/null, not the container's: that one may be anything. */
static int clone_null(void)
{
	struct stat status;
	int fd = kernel_open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
		return fd;
	close(fd);
	errno = ENODEV;
	return -1;
}

static int new_empty_directory(void)
{
	int fs_fd = kernel_fsopen("tmpfs");
	int fd = -1;
	if (fs_fd < 0)
		return -1;
	if (kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "mode", "755") == 0 && kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "nr_inodes", "1") == 0 &&
	    kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) == 0)
		fd = kernel_fsmount(fs_fd, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
	int error = errno;
	close(fs_fd);
	errno = error;
	return fd;
}

/* Clones of `first` (an attached mount) cost less than filesystems of their own; before there is one: a new filesystem. */
static int next_cover(bool directory, int first)
{
	if (first >= 0)
		return kernel_open_tree(first, "", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_EMPTY_PATH);
	return directory ? new_empty_directory() : clone_null();
}

/* `covers`: the first attached cover of each kind, [1] for directories. */
static int mask(struct init *init, struct span path, int covers[2])
{
	struct stat status;
	int fd;
	int there = open_covered(init, path, &fd);
	if (there <= 0)
		return there;
	bool directory = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
	int cover_fd = next_cover(directory, covers[directory]);
	int result = cover_fd < 0 ? -1 : kernel_move_mount(cover_fd, fd);
	int error = errno;
	close(fd);
	if (result == 0 && covers[directory] < 0)
		covers[directory] = cover_fd;
	else if (cover_fd >= 0)
		close(cover_fd);
	return result == 0 ? 0 : fail_at_span(&init->report.failure, error, "mask path", path);
}

int cover_paths(struct init *init, struct span body)
{
	struct span rest = body;
	struct span path;
	int covers[2] = {-1, -1};
	int result = 0;
	while (result == 0 && next_with_tag(&rest, TAG_READONLY_PATH, &path))
		result = make_readonly(init, path);
	rest = body;
	while (result == 0 && next_with_tag(&rest, TAG_MASKED_PATH, &path))
		result = mask(init, path, covers);
	for (unsigned i = 0; i < 2; i++)
		if (covers[i] >= 0)
			close(covers[i]);
	return result;
}
