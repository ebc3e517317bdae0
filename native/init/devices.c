/* Devices, symlinks and the directories of volumes. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static mode_t to_file_type(uint32_t type)
{
	return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR;
}

static int make_device(struct init *init, struct span one)
{
	struct failure *failure = &init->report.failure;
	struct span path = get_span_or_empty(one, TAG_PATH);
	char name[256];
	int parent_fd = make_parent_in_root(init->root_fd, path, name);
	if (parent_fd < 0)
		return fail_at_span(failure, errno, "make device", path);
	mode_t mode = to_file_type(get_u32(one, TAG_DEVICE_TYPE, 0)) | (get_u32(one, TAG_MODE, 0) & 07777);
	dev_t device = makedev(get_u32(one, TAG_MAJOR, 0), get_u32(one, TAG_MINOR, 0));
	/* What the image has in its place is not what the node gives. */
	unlinkat(parent_fd, name, 0);
	int result = mknodat(parent_fd, name, mode, device);
	if (result == 0)
		result = fchownat(parent_fd, name, get_u32(one, TAG_UID, 0), get_u32(one, TAG_GID, 0), AT_SYMLINK_NOFOLLOW);
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
