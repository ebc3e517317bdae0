/*
 * A pod with a user namespace. Everything that needs the host's root is done first, in a mount namespace that the host's root owns; then the
 * process enters, and takes a mount namespace anew: the pod's root may mount in that one, and can neither take off nor change what is there
 * (mount_namespaces(7), "Restrictions on mount namespaces").
 */
#include "../kernel.h"
#include "steps.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/mount.h>

int map_mount(const struct init *init, int mount_fd)
{
	struct mount_attributes mapped = {.set = ATTR_IDMAP, .userns_fd = (uint64_t)init->job->user_namespace.fd};
	if (init->job->user_namespace.fd >= 0)
		return kernel_map_mount(mount_fd, &mapped);
	errno = EINVAL;
	return -1;
}

static int map_layer(const struct init *init, const char *path)
{
	int fd = kernel_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_);
	int place_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 || place_fd < 0 || map_mount(init, fd) != 0 ? -1 : kernel_move_mount(fd, place_fd);
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (place_fd >= 0)
		close(place_fd);
	errno = error;
	return result;
}

/* Several images may share a layer, and one that is mapped cannot be mapped again: is `layer` among those before it? */
static bool is_mapped_already(struct span body, struct span layer)
{
	struct span rest = get_span_or_empty(body, TAG_ROOTFS);
	struct span one;
	while (next_with_tag(&rest, TAG_LOWER_DIR, &one))
		if (one.bytes == layer.bytes || span_equals(one, layer))
			return one.bytes != layer.bytes;
	while (next_with_tag(&body, TAG_MOUNT, &rest))
		while (next_with_tag(&rest, TAG_LOWER_DIR, &one))
			if (one.bytes == layer.bytes || span_equals(one, layer))
				return one.bytes != layer.bytes;
	return false;
}

static int map_layers_of(struct init *init, struct span image)
{
	struct span lower;
	while (next_with_tag(&image, TAG_LOWER_DIR, &lower)) {
		char path[4096];
		if (is_mapped_already(init->job->body, lower))
			continue;
		if (!span_to_string(lower, path, sizeof path) || map_layer(init, path) != 0)
			return fail_at_span(&init->report.failure, errno, "id-map layer", lower);
	}
	return 0;
}

/* They go with the old root, at pivot. */
int map_layers(struct init *init, struct span body)
{
	struct span mount;
	if (init->job->user_namespace.fd < 0)
		return 0;
	if (map_layers_of(init, get_span_or_empty(body, TAG_ROOTFS)) != 0)
		return -1;
	while (next_with_tag(&body, TAG_MOUNT, &mount))
		if (map_layers_of(init, mount) != 0)
			return -1;
	return 0;
}

int make_files_as_pod_root(struct init *init)
{
	const struct user_namespace *pod = &init->job->user_namespace;
	if (pod->fd < 0)
		return 0;
	/* setfsuid(2) tells no errors but by the id that a further call finds. It takes capabilities away from who is no root any more. */
	setfsgid(pod->root_gid);
	setfsuid(pod->root_uid);
	if ((uint32_t)setfsgid((gid_t)-1) != pod->root_gid || (uint32_t)setfsuid((uid_t)-1) != pod->root_uid || raise_permitted() != 0)
		return fail(&init->report.failure, EPERM, "own files");
	return 0;
}

int enter_user_namespace(struct init *init, int namespaces)
{
	const struct user_namespace *pod = &init->job->user_namespace;
	struct failure *failure = &init->report.failure;
	if (pod->fd < 0)
		return 0;
	/* Beyond what the pod's root may: higher limits, and pipes of other ids. */
	if (set_rlimits(init) != 0)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		if (init->job->stdio[i] >= 0)
			(void)!fchown(init->job->stdio[i], pod->root_uid, pod->root_gid);
	if (setns(pod->fd, CLONE_NEWUSER) != 0)
		return fail(failure, errno, "enter user namespace");
	if (namespaces != 0 && unshare(namespaces) != 0)
		return fail(failure, errno, "unshare");
	if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0)
		return fail(failure, errno, "become root of user namespace");
	/* It referred to the mount namespace before. */
	close(init->root_fd);
	init->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return init->root_fd >= 0 ? 0 : fail(failure, errno, "open root");
}
