/* What AppArmor and SELinux make of the process at its exec: proc(5), attr/exec. */
#include "../kernel.h"
#include "steps.h"

#include <string.h>
#include <sys/vfs.h>

enum { ATTRIBUTE_BYTES = 4096 };

/* The attribute to write and read back, or -1. On anything but procfs the writing would do nothing, and say nothing (CVE-2019-16884). */
static int open_attribute(const char *path)
{
	struct statfs status;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || (fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC_))
		return fd;
	close(fd);
	errno = EXDEV;
	return -1;
}

static int write_attribute(int fd, const char *before, struct span value)
{
	char text[ATTRIBUTE_BYTES];
	struct text attribute = text_over(text, sizeof text);
	text_add(&attribute, before);
	text_add_span(&attribute, value);
	if (attribute.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return write(fd, text, attribute.length) == (ssize_t)attribute.length ? 0 : -1;
}

/*
 * The module's own file, which is there since 5.8: the common one, attr/exec, may be SELinux's, and that takes whatever it is told while it has no policy.
 */
static int set_apparmor_profile(struct span profile)
{
	int fd = open_attribute("/proc/self/attr/apparmor/exec");
	if (fd < 0)
		return -1;
	int result = write_attribute(fd, "exec ", profile);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

/* SELinux without a policy takes every label for that of the kernel, whose name has no colon (security_context_to_sid_core): nothing would be confined. */
static int set_selinux_label(struct span label)
{
	char set[ATTRIBUTE_BYTES];
	int fd = open_attribute("/proc/self/attr/exec");
	if (fd < 0)
		return -1;
	int result = write_attribute(fd, "", label);
	int error = errno;
	if (result == 0) {
		ssize_t length = pread(fd, set, sizeof set, 0);
		result = length > 0 && memchr(set, ':', (size_t)length) != NULL ? 0 : -1;
		error = ENODATA;
	}
	close(fd);
	errno = error;
	return result;
}

int label_process(struct init *init)
{
	struct span value;
	struct failure *failure = &init->report.failure;
	if (get_span(init->process, TAG_APPARMOR_PROFILE, &value) && set_apparmor_profile(value) != 0)
		return fail_at_span(failure, errno, "set AppArmor profile", value);
	if (get_span(init->process, TAG_SELINUX_LABEL, &value) && set_selinux_label(value) != 0)
		return fail_at_span(failure, errno, "set SELinux label", value);
	return 0;
}
