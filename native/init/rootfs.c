/* The container's root: an overlay that exists in its own mount namespace only. */
#include "../kernel.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The page that mount(2) copies its options from. */
enum { OPTIONS_BYTES = 4096 };

/*
 * The path, or where it is too long for fsconfig(2) or has characters that overlay takes for its own, a short name by an fd (which
 * stays open until the exec).
 */
static int name_layer(struct span path, size_t longest, char *buffer, size_t capacity, struct failure *failure)
{
	bool plain = path.length < longest;
	for (uint32_t i = 0; plain && i < path.length; i++)
		plain = strchr(":,\\", path.bytes[i]) == NULL;
	if (plain && span_to_string(path, buffer, capacity))
		return 0;
	char whole[4096];
	span_to_string(path, whole, sizeof whole);
	int fd = open(whole, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_at(failure, errno, "open layer", whole);
	struct text text = text_over(buffer, capacity);
	text_add(&text, "/proc/self/fd/");
	text_add_u64(&text, (uint64_t)fd);
	return 0;
}

static int add_dir(int fs_fd, const char *key, struct span path, struct failure *failure)
{
	char name[FSCONFIG_STRING_MAX];
	if (name_layer(path, FSCONFIG_STRING_MAX, name, sizeof name, failure) != 0)
		return -1;
	return kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, key, name) == 0 ? 0 : fail_at_span(failure, errno, "mount overlay", path);
}

/* An upper directory that was mounted `volatile` before is refused while this marker is there; a power cut would have taken the directory. */
void forget_volatile(struct span work_dir)
{
	char path[4096];
	struct text text = text_over(path, sizeof path);
	text_add_span(&text, work_dir);
	text_add(&text, "/work/incompat/volatile");
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	unlinkat(fd, "dirty", 0);
	close(fd);
	rmdir(path);
}

/*
 * Before 6.5 overlay has no parser of its own for fsconfig(2): the kernel's stand-in takes whatever it is told and only the mount is refused
 * (legacy_parse_param in fs/fs_context.c). From 6.5 on a key that is not known is refused at once.
 */
static bool takes_any_key(int fs_fd)
{
	return kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "no-such-key", "x") == 0;
}

/* The mount's fd; -1; -2: the kernel does not know lowerdir+. */
static int mount_overlay_by_parts(struct span rootfs, struct span label, bool nodev, struct failure *failure)
{
	char context[FSCONFIG_STRING_MAX];
	struct span rest = rootfs;
	struct span lower;
	int fs_fd = kernel_fsopen("overlay");
	if (fs_fd < 0)
		return fail(failure, errno, "mount overlay");
	if (takes_any_key(fs_fd)) {
		close(fs_fd);
		return -2;
	}
	for (bool first = true; next_with_tag(&rest, TAG_LOWER_DIR, &lower); first = false) {
		if (add_dir(fs_fd, "lowerdir+", lower, failure) == 0)
			continue;
		close(fs_fd);
		return first && failure->error == EINVAL ? -2 : -1;
	}
	int fd = -1;
	if (label.length > 0 && (!span_to_string(label, context, sizeof context) || kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "context", context) != 0)) {
		fail_at_span(failure, errno, "label overlay", label);
		close(fs_fd);
		return -1;
	}
	/* volatile: no sync of the upper directory at unmount; since 5.10. */
	kernel_fsconfig(fs_fd, FSCONFIG_SET_FLAG_, "volatile", NULL);
	if (add_dir(fs_fd, "upperdir", get_span_or_empty(rootfs, TAG_UPPER_DIR), failure) == 0 &&
	    add_dir(fs_fd, "workdir", get_span_or_empty(rootfs, TAG_WORK_DIR), failure) == 0) {
		if (kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) != 0 || (fd = kernel_fsmount(fs_fd, nodev ? ATTR_NODEV : 0)) < 0)
			fail_at_span(failure, errno, "mount overlay", get_span_or_empty(rootfs, TAG_UPPER_DIR));
	}
	close(fs_fd);
	return fd;
}

static int add_option(struct text *options, const char *key, struct span path, size_t longest, struct failure *failure)
{
	char name[OPTIONS_BYTES];
	if (name_layer(path, longest, name, sizeof name, failure) != 0)
		return -1;
	text_add(options, key);
	text_add(options, name);
	return 0;
}

/* What an overlay is made of; an empty label is none. */
struct overlay {
	struct span layers;
	struct span label;
	bool nodev;
};

static int build_options(const struct overlay *overlay, size_t longest, struct text *options, struct failure *failure)
{
	struct span rest = overlay->layers;
	struct span lower;
	const char *key = "lowerdir=";
	while (next_with_tag(&rest, TAG_LOWER_DIR, &lower)) {
		if (add_option(options, key, lower, longest, failure) != 0)
			return -1;
		key = ":";
	}
	if (add_option(options, ",upperdir=", get_span_or_empty(overlay->layers, TAG_UPPER_DIR), longest, failure) != 0 ||
	    add_option(options, ",workdir=", get_span_or_empty(overlay->layers, TAG_WORK_DIR), longest, failure) != 0)
		return -1;
	if (overlay->label.length > 0) {
		/* Quoted, since the categories of a level are joined by commas (security_sb_eat_lsm_opts, SELinux). */
		text_add(options, ",context=\"");
		text_add_span(options, overlay->label);
		text_add(options, "\"");
	}
	text_add(options, ",volatile");
	return 0;
}

/* mount(2) does not say which directory is not there: the layer is named that fsconfig(2) would have refused. */
static int fail_at_missing(struct span layers, int error, struct failure *failure)
{
	char path[4096];
	struct span rest = layers;
	struct span lower;
	while (error == ENOENT && next_with_tag(&rest, TAG_LOWER_DIR, &lower))
		if (span_to_string(lower, path, sizeof path) && access(path, F_OK) != 0)
			return fail_at_span(failure, error, "mount overlay", lower);
	return fail_at_span(failure, error, "mount overlay", get_span_or_empty(layers, TAG_UPPER_DIR));
}

/* By mount(2), for kernels without lowerdir+ (before 6.7). The root's fd, or -1. */
static int mount_overlay_by_options(const struct overlay *overlay, const char *target, struct failure *failure)
{
	char buffer[OPTIONS_BYTES];
	struct text options = text_over(buffer, sizeof buffer);
	if (build_options(overlay, OPTIONS_BYTES, &options, failure) != 0)
		return -1;
	if (options.cut) {
		options = text_over(buffer, sizeof buffer);
		if (build_options(overlay, 0, &options, failure) != 0)
			return -1;
	}
	if (options.cut)
		return fail(failure, E2BIG, "mount overlay");
	unsigned long flags = overlay->nodev ? MS_NODEV : 0;
	int result = mount("overlay", target, "overlay", flags, buffer);
	if (result != 0 && errno == EINVAL) {
		buffer[options.length - strlen(",volatile")] = 0;
		result = mount("overlay", target, "overlay", flags, buffer);
	}
	if (result != 0)
		return fail_at_missing(overlay->layers, errno, failure);
	int fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : fail(failure, errno, "open root");
}

int mount_overlay(struct init *init, struct span layers, const char *place)
{
	struct failure attempt = {0};
	forget_volatile(get_span_or_empty(layers, TAG_WORK_DIR));
	struct span label = get_span_or_empty(init->job->body, TAG_MOUNT_LABEL);
	/* A node that an image brings is the host's device, whoever opens it: the pod's root could have made none. */
	bool nodev = init->job->user_namespace.fd >= 0;
	int fd = mount_overlay_by_parts(layers, label, nodev, &attempt);
	if (fd == -2) {
		struct overlay overlay = {layers, label, nodev};
		return mount_overlay_by_options(&overlay, place, &init->report.failure);
	}
	if (fd < 0) {
		init->report.failure = attempt;
		return -1;
	}
	int place_fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = place_fd < 0 ? -1 : kernel_move_mount(fd, place_fd);
	int error = errno;
	if (place_fd >= 0)
		close(place_fd);
	if (result == 0)
		return fd;
	close(fd);
	return fail_at(&init->report.failure, error, "mount overlay", place);
}

int mount_rootfs(struct init *init, struct span rootfs)
{
	/* Any directory will do: this namespace is ours, and the old root goes at pivot. Nothing below needs the host's /proc any more. */
	init->root_fd = mount_overlay(init, rootfs, "/proc");
	return init->root_fd < 0 ? -1 : 0;
}

int enter_rootfs(struct init *init, struct span rootfs)
{
	struct failure *failure = &init->report.failure;
	if (get_u32(rootfs, TAG_READONLY, 0)) {
		struct mount_attributes readonly = {.set = ATTR_RDONLY};
		if (kernel_mount_setattr(init->root_fd, 0, &readonly) != 0)
			return fail_at(failure, errno, "make root read-only", "/");
	}
	/* pivot_root(2): with both names the same, the old root ends up on top of the new one and is taken off. */
	if (fchdir(init->root_fd) != 0 || kernel_pivot_root(".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return fail(failure, errno, "pivot root");
	uint32_t propagation = get_u32(rootfs, TAG_PROPAGATION, PROPAGATION_PRIVATE);
	unsigned long flags = propagation == PROPAGATION_SHARED ? MS_SHARED | MS_REC : propagation == PROPAGATION_SLAVE ? MS_SLAVE : MS_PRIVATE;
	if (mount(NULL, "/", NULL, flags, NULL) != 0)
		return fail(failure, errno, "propagation of root");
	close(init->root_fd);
	init->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return init->root_fd >= 0 ? 0 : fail(failure, errno, "open root");
}
