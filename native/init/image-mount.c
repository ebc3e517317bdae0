/* An image, or a part of it, as a volume. Always read-only; its writable layer only lends its root directory the image's look. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <sys/mount.h>
#include <sys/stat.h>

/* A detached copy of what is to be seen; -1 with errno. What the image's links say stays in the image. */
static int clone_part(int overlay_fd, struct span sub_path)
{
	if (sub_path.length == 0)
		return kernel_open_tree(overlay_fd, "", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_EMPTY_PATH);
	int part_fd = open_in_root(overlay_fd, sub_path, 0);
	if (part_fd < 0)
		return -1;
	int fd = kernel_open_tree(part_fd, "", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_EMPTY_PATH);
	int error = errno;
	close(part_fd);
	errno = error;
	return fd;
}

int open_image(struct init *init, struct span one)
{
	/* As for the root, any directory will do; a part of a mount can be cloned only where the mount is attached. */
	static const char place[] = "/sys";
	struct failure *failure = &init->report.failure;
	struct span target = get_span_or_empty(one, TAG_TARGET);
	struct mount_attributes attributes = {.set = ATTR_RDONLY | bind_attributes(one), .propagation = MS_PRIVATE};
	int overlay_fd = mount_overlay(init, one, place);
	if (overlay_fd < 0)
		return -1;
	int fd = clone_part(overlay_fd, get_span_or_empty(one, TAG_SUB_PATH));
	int error = errno;
	close(overlay_fd);
	umount2(place, MNT_DETACH);
	if (fd < 0)
		return fail_at_span(failure, error, "open image sub path", get_span_or_empty(one, TAG_SUB_PATH));
	if (kernel_mount_setattr(fd, 0, &attributes) == 0)
		return fd;
	error = errno;
	close(fd);
	return fail_mount(init, error, "image", target);
}

int mount_image(struct init *init, struct span one)
{
	struct span target = get_span_or_empty(one, TAG_TARGET);
	struct stat status;
	int fd = open_image(init, one);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) != 0) {
		int error = errno;
		close(fd);
		return fail_mount(init, error, "image", target);
	}
	return attach_mount(init, fd, "image", target, S_ISDIR(status.st_mode));
}
