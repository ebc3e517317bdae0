/* MountSpecs: filesystems, binds of what the daemon passed, the pod's /dev/shm, cgroups. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static unsigned to_attributes(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		unsigned attribute;
	} map[] = {
		{MS_RDONLY, ATTR_RDONLY},   {MS_NOSUID, ATTR_NOSUID},         {MS_NODEV, ATTR_NODEV},
		{MS_NOEXEC, ATTR_NOEXEC},   {MS_NODIRATIME, ATTR_NODIRATIME},
	};
	unsigned attributes = 0;
	for (unsigned i = 0; i < sizeof map / sizeof map[0]; i++)
		if (flags & map[i].flag)
			attributes |= map[i].attribute;
	if (flags & MS_STRICTATIME)
		attributes |= ATTR_STRICTATIME;
	else if (flags & MS_NOATIME)
		attributes |= ATTR_NOATIME;
	return attributes;
}

/* "mode=755,nosuid" as fsconfig(2) wants them, one by one. Cuts `options` up. */
static int set_options(int fs_fd, char *options)
{
	for (char *option = options; option != NULL && *option != 0;) {
		char *comma = strchr(option, ',');
		if (comma != NULL)
			*comma = 0;
		char *value = strchr(option, '=');
		if (value != NULL)
			*value++ = 0;
		if (kernel_fsconfig(fs_fd, value == NULL ? FSCONFIG_SET_FLAG_ : FSCONFIG_SET_STRING_, option, value) != 0)
			return -1;
		option = comma == NULL ? NULL : comma + 1;
	}
	return 0;
}

static int set_label(int fs_fd, struct span label)
{
	char context[FSCONFIG_STRING_MAX];
	if (label.length == 0)
		return 0;
	errno = ENAMETOOLONG;
	return span_to_string(label, context, sizeof context) ? kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "context", context) : -1;
}

/* A new detached mount of a context, which is closed; -1 with errno. `label`: of its files, for SELinux; empty: the policy's. */
static int mount_context(int fs_fd, char *options, unsigned attributes, struct span label)
{
	int fd = -1;
	if (fs_fd < 0)
		return -1;
	if (set_options(fs_fd, options) == 0 && set_label(fs_fd, label) == 0 && kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) == 0)
		fd = kernel_fsmount(fs_fd, attributes);
	int error = errno;
	close(fs_fd);
	errno = error;
	return fd;
}

static int new_filesystem(const char *fstype, char *options, unsigned attributes, struct span label)
{
	return mount_context(kernel_fsopen(fstype), options, attributes, label);
}

/* "mount proc": what fails names what was mounted. */
int fail_mount(struct init *init, int error, const char *what, struct span target)
{
	char stage[28];
	struct text text = text_over(stage, sizeof stage);
	text_add(&text, "mount ");
	text_add(&text, what);
	return fail_at_span(&init->report.failure, error, stage, target);
}

int attach_mount(struct init *init, int mount_fd, const char *what, struct span target, bool directory)
{
	int target_fd = make_target_in_root(init->root_fd, target, directory);
	int result = target_fd < 0 ? -1 : kernel_move_mount(mount_fd, target_fd);
	int error = errno;
	if (target_fd >= 0)
		close(target_fd);
	close(mount_fd);
	return result == 0 ? 0 : fail_mount(init, error, what, target);
}

/*
 * /proc and /sys must lie where the image has a plain directory: by way of its symlink they would be elsewhere, and writes meant for
 * them (labels, sysctls) would go to a file of the image's choice.
 */
static int check_plain(struct init *init, const char *what, struct span target)
{
	char path[4096];
	if (!span_to_string(target, path, sizeof path))
		return fail_mount(init, ENAMETOOLONG, what, target);
	int fd = kernel_openat2(init->root_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_SYMLINKS_);
	if (fd < 0 && errno != ENOENT)
		return fail_mount(init, errno, what, target);
	if (fd >= 0)
		close(fd);
	return 0;
}

static int mount_filesystem(struct init *init, struct span one)
{
	char fstype[64];
	char options[4096];
	struct span target = get_span_or_empty(one, TAG_TARGET);
	if (!span_to_string(get_span_or_empty(one, TAG_FSTYPE), fstype, sizeof fstype) ||
	    !span_to_string(get_span_or_empty(one, TAG_MOUNT_DATA), options, sizeof options))
		return fail_mount(init, ENAMETOOLONG, "filesystem", target);
	bool kernel_view = strcmp(fstype, "proc") == 0 || strcmp(fstype, "sysfs") == 0;
	if (kernel_view && check_plain(init, fstype, target) != 0)
		return -1;
	bool labelled = strcmp(fstype, "tmpfs") == 0 || strcmp(fstype, "devpts") == 0;
	struct span label = get_span_or_empty(labelled ? init->job->body : (struct span){NULL, 0}, TAG_MOUNT_LABEL);
	bool proc_inside = strcmp(fstype, "proc") == 0 && init->job->inside_pidfd >= 0;
	int fs_fd = proc_inside ? open_proc_inside(init) : kernel_fsopen(fstype);
	if (proc_inside && fs_fd < 0)
		return -1;
	int fd = mount_context(fs_fd, options, to_attributes(get_u32(one, TAG_MOUNT_FLAGS, 0)), label);
	if (proc_inside && fd >= 0 && check_proc_mount(fd) != 0) {
		close(fd);
		return fail_mount(init, EPROTO, fstype, target);
	}
	const struct user_namespace *pod = &init->job->user_namespace;
	/* Others take their owner from who mounts them. */
	if (fd >= 0 && pod->fd >= 0 && strcmp(fstype, "devpts") == 0)
		(void)!fchownat(fd, "", pod->root_uid, pod->root_gid, AT_EMPTY_PATH);
	return fd < 0 ? fail_mount(init, errno, fstype, target) : attach_mount(init, fd, fstype, target, true);
}

unsigned bind_attributes(struct span one)
{
	return (get_u32(one, TAG_READONLY, 0) ? ATTR_RDONLY : 0) | (get_u32(one, TAG_NOEXEC, 0) ? ATTR_NOEXEC : 0) |
	       (get_u32(one, TAG_NOSUID, 0) ? ATTR_NOSUID : 0) | (get_u32(one, TAG_NODEV, 0) ? ATTR_NODEV : 0);
}

int prepare_bind(struct init *init, struct span one)
{
	struct span target = get_span_or_empty(one, TAG_TARGET);
	if (!has_tag(one, TAG_MOUNT_FD))
		return fail_mount(init, EINVAL, "bind", target);
	int fd = init->job->fds[get_u32(one, TAG_MOUNT_FD, 0)];
	uint32_t propagation = get_u32(one, TAG_PROPAGATION, PROPAGATION_PRIVATE);
	struct mount_attributes top = {.set = bind_attributes(one)};
	struct mount_attributes all = {
		.set = get_u32(one, TAG_RECURSIVE_READONLY, 0) ? ATTR_RDONLY : 0,
		.propagation = propagation == PROPAGATION_SHARED ? MS_SHARED : propagation == PROPAGATION_SLAVE ? MS_SLAVE : MS_PRIVATE,
	};
	if (get_u32(one, TAG_ID_MAPPED, 0) && map_mount(init, fd) != 0)
		return fail_at_span(&init->report.failure, errno, "id-map volume", get_span_or_empty(one, TAG_PATH));
	if (kernel_mount_setattr(fd, AT_RECURSIVE_, &all) != 0 || (top.set != 0 && kernel_mount_setattr(fd, 0, &top) != 0))
		return fail_mount(init, errno, "bind options", target);
	return 0;
}

static int mount_bind(struct init *init, struct span one)
{
	struct span target = get_span_or_empty(one, TAG_TARGET);
	struct stat status;
	if (prepare_bind(init, one) != 0)
		return -1;
	int fd = init->job->fds[get_u32(one, TAG_MOUNT_FD, 0)];
	if (fstat(fd, &status) != 0)
		return fail_mount(init, errno, "bind", target);
	return attach_mount(init, fd, "bind", target, S_ISDIR(status.st_mode));
}

static int mount_shm(struct init *init, struct span one)
{
	const char *source = init->job->shm_path == NULL ? "/dev/shm" : init->job->shm_path;
	struct span target = get_span_or_empty(one, TAG_TARGET);
	int fd = kernel_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_);
	return fd < 0 ? fail_mount(init, errno, "shm", target) : attach_mount(init, fd, "shm", target, true);
}

/* Where the host has /sys/fs/cgroup/cpu → cpu,cpuacct, the container has it too; a name without a comma needs none. */
static void link_controllers(int directory_fd, struct span name)
{
	char whole[256];
	if (memchr(name.bytes, ',', name.length) == NULL || !span_to_string(name, whole, sizeof whole))
		return;
	uint32_t start = 0;
	for (uint32_t i = 0; i <= name.length; i++) {
		if (i < name.length && name.bytes[i] != ',')
			continue;
		char part[256];
		span_to_string((struct span){name.bytes + start, i - start}, part, sizeof part);
		symlinkat(whole, directory_fd, part);
		start = i + 1;
	}
}

/*
 * The host's own mount of the unified hierarchy, for a container in the host's cgroup namespace. Not a mount made anew: in that namespace its options would become
 * those of the hierarchy, for the whole host (apply_cgroup_root_flags in kernel/cgroup/cgroup.c), and systemd's nsdelegate be lost. Detached; -1: it is elsewhere.
 */
static int clone_unified(struct span name, unsigned attributes)
{
	char path[PATH_MAX];
	struct text text = text_over(path, sizeof path);
	struct statfs status;
	struct mount_attributes wanted = {.set = attributes};
	text_add(&text, "/sys/fs/cgroup/");
	text_add_span(&text, name);
	int fd = text.cut ? -1 : kernel_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_);
	if (fd < 0)
		return -1;
	if (fstatfs(fd, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC_ && kernel_mount_setattr(fd, 0, &wanted) == 0)
		return fd;
	close(fd);
	return -1;
}

static int open_hierarchy(struct init *init, struct span one, char *options, unsigned attributes)
{
	char fstype[32];
	if (!span_to_string(get_span_or_empty(one, TAG_FSTYPE), fstype, sizeof fstype)) {
		errno = EINVAL;
		return -1;
	}
	bool hosts = get_u32(init->job->body, TAG_CGROUP_NAMESPACE, CGROUP_NAMESPACE_NEW) != CGROUP_NAMESPACE_NEW;
	int fd = hosts && strcmp(fstype, "cgroup2") == 0 ? clone_unified(get_span_or_empty(one, TAG_NAME), attributes) : -1;
	return fd >= 0 ? fd : new_filesystem(fstype, options, attributes, (struct span){NULL, 0});
}

static int mount_hierarchy(struct init *init, struct span one, struct span target, int directory_fd, unsigned attributes)
{
	char options[256];
	char name[256];
	if (!span_to_string(get_span_or_empty(one, TAG_MOUNT_DATA), options, sizeof options) ||
	    !span_to_string(get_span_or_empty(one, TAG_NAME), name, sizeof name) || strchr(name, '/') != NULL || strcmp(name, "..") == 0)
		return fail_mount(init, EINVAL, "cgroup", target);
	int fd = open_hierarchy(init, one, options, attributes);
	if (fd < 0)
		return fail_mount(init, errno, "cgroup", target);
	if (directory_fd < 0)
		return attach_mount(init, fd, "cgroup", target, true);
	int place_fd = -1;
	if (mkdirat(directory_fd, name, 0755) == 0)
		place_fd = openat(directory_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = place_fd < 0 ? -1 : kernel_move_mount(fd, place_fd);
	int error = errno;
	if (place_fd >= 0)
		close(place_fd);
	close(fd);
	if (result != 0)
		return fail_mount(init, error, "cgroup", target);
	link_controllers(directory_fd, get_span_or_empty(one, TAG_NAME));
	return 0;
}

static int mount_cgroup(struct init *init, struct span one)
{
	struct span target = get_span_or_empty(one, TAG_TARGET);
	bool readonly = get_u32(one, TAG_READONLY, 0) != 0;
	unsigned attributes = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
	struct span rest = one;
	struct span hierarchy;
	int directory_fd = -1;
	bool bare = get_span(one, TAG_HIERARCHY, &hierarchy) && get_span_or_empty(hierarchy, TAG_NAME).length == 0;
	if (!bare) {
		char options[] = "mode=755";
		int fd = new_filesystem("tmpfs", options, attributes, get_span_or_empty(init->job->body, TAG_MOUNT_LABEL));
		/* The fd itself refers to the mount also once it is attached. */
		directory_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (directory_fd < 0)
			return fail_mount(init, errno, "cgroup", target);
		if (attach_mount(init, fd, "cgroup", target, true) != 0)
			return -1;
	}
	while (next_with_tag(&rest, TAG_HIERARCHY, &hierarchy))
		if (mount_hierarchy(init, hierarchy, target, directory_fd, attributes | (readonly ? ATTR_RDONLY : 0)) != 0)
			return -1;
	if (bare)
		return 0;
	struct mount_attributes seal = {.set = ATTR_RDONLY};
	int result = readonly ? kernel_mount_setattr(directory_fd, 0, &seal) : 0;
	int error = errno;
	close(directory_fd);
	return result == 0 ? 0 : fail_mount(init, error, "cgroup", target);
}

static int mount_one(struct init *init, struct span one)
{
	switch (get_u32(one, TAG_MOUNT_KIND, 0)) {
	case MOUNT_KIND_FILESYSTEM:
		return mount_filesystem(init, one);
	case MOUNT_KIND_BIND:
		return mount_bind(init, one);
	case MOUNT_KIND_SHM:
		return mount_shm(init, one);
	case MOUNT_KIND_CGROUP:
		return mount_cgroup(init, one);
	case MOUNT_KIND_IMAGE:
		return mount_image(init, one);
	default:
		return fail_mount(init, EINVAL, "of unknown kind", get_span_or_empty(one, TAG_TARGET));
	}
}

int mount_all(struct init *init, struct span body)
{
	struct span one;
	while (next_with_tag(&body, TAG_MOUNT, &one))
		if (mount_one(init, one) != 0)
			return -1;
	return 0;
}
