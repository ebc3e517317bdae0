/* Devices, symlinks and the directories of volumes. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static mode_t to_file_type(uint32_t type)
{
	return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

static int make_node(int parent_fd, const char *name, struct span one)
{
	mode_t mode = to_file_type(get_u32(one, TAG_DEVICE_TYPE, 0)) | (get_u32(one, TAG_MODE, 0) & 07777);
	dev_t device = makedev(get_u32(one, TAG_MAJOR, 0), get_u32(one, TAG_MINOR, 0));
	if (mknodat(parent_fd, name, mode, device) != 0)
		return -1;
	return fchownat(parent_fd, name, get_u32(one, TAG_UID, 0), get_u32(one, TAG_GID, 0), AT_SYMLINK_NOFOLLOW);
}

/* A detached mount of a node alone; -1 with errno. */
static int mount_node(struct span one)
{
	/* Of our own mount namespace, as for images: a node can be cloned only where its mount is attached. */
	static const char place[] = "/sys";
	int fs_fd = kernel_fsopen("tmpfs");
	int fd = -1;
	int node_fd = -1;
	int place_fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs_fd >= 0 && place_fd >= 0 && kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) == 0)
		fd = kernel_fsmount(fs_fd, ATTR_NOSUID | ATTR_NOEXEC);
	if (fd >= 0 && make_node(fd, "node", one) == 0 && kernel_move_mount(fd, place_fd) == 0) {
		node_fd = kernel_open_tree(fd, "node", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_SYMLINK_NOFOLLOW);
		int error = errno;
		umount2(place, MNT_DETACH);
		errno = error;
	}
	int error = errno;
	const int fds[] = {fs_fd, fd, place_fd};
	for (unsigned i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	errno = error;
	return node_fd;
}

/* The root of a pod with a user namespace opens no devices: there a node is one of elsewhere, bound over an empty file. */
static int bind_node(int parent_fd, const char *name, struct span one)
{
	int node_fd = mount_node(one);
	int place_fd = -1;
	if (node_fd >= 0 && mknodat(parent_fd, name, S_IFREG | 0600, 0) == 0)
		place_fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int result = place_fd < 0 ? -1 : kernel_move_mount(node_fd, place_fd);
	int error = errno;
	if (place_fd >= 0)
		close(place_fd);
	if (node_fd >= 0)
		close(node_fd);
	errno = error;
	return result;
}

static int make_device(struct init *init, struct span one)
{
	struct failure *failure = &init->report.failure;
	struct span path = get_span_or_empty(one, TAG_PATH);
	struct statvfs filesystem;
	char name[256];
	int parent_fd = make_parent_in_root(init->root_fd, path, name);
	if (parent_fd < 0)
		return fail_at_span(failure, errno, "make device", path);
	/* What the image has in its place is not what the node gives. */
	unlinkat(parent_fd, name, 0);
	bool nodev = init->job->user_namespace.fd >= 0 && fstatvfs(parent_fd, &filesystem) == 0 && (filesystem.f_flag & ST_NODEV) != 0;
	int result = nodev ? bind_node(parent_fd, name, one) : make_node(parent_fd, name, one);
	int error = errno;
	close(parent_fd);
	return result == 0 ? 0 : fail_at_span(failure, error, "make device", path);
}

int make_devices(struct init *init, struct span body)
{
	struct span one;
	while (next_with_tag(&body, TAG_DEVICE, &one))
		if (make_device(init, one) != 0)
			return -1;
	return 0;
}

int make_symlinks(struct init *init, struct span body)
{
	struct span one;
	while (next_with_tag(&body, TAG_SYMLINK, &one)) {
		struct span path = get_span_or_empty(one, TAG_PATH);
		char name[256];
		char target[4096];
		int parent_fd = make_parent_in_root(init->root_fd, path, name);
		if (parent_fd < 0)
			return fail_at_span(&init->report.failure, errno, "make symlink", path);
		bool fits = span_to_string(get_span_or_empty(one, TAG_TARGET), target, sizeof target);
		int error = !fits ? ENAMETOOLONG : symlinkat(target, parent_fd, name) == 0 || errno == EEXIST ? 0 : errno;
		close(parent_fd);
		if (error != 0)
			return fail_at_span(&init->report.failure, error, "make symlink", path);
	}
	return 0;
}

int make_volume_dirs(struct init *init, struct span body)
{
	struct span path;
	while (next_with_tag(&body, TAG_VOLUME_DIR, &path)) {
		int fd = make_dirs_in_root(init->root_fd, path);
		if (fd < 0)
			return fail_at_span(&init->report.failure, errno, "make volume directory", path);
		close(fd);
	}
	return 0;
}
