/* What AppArmor and SELinux make of the process at its exec: proc(5), attr/exec. */
#include "../kernel.h"
#include "steps.h"

#include <string.h>
#include <sys/vfs.h>

enum { ATTRIBUTE_BYTES = 4096 };

/* On anything but procfs the writing would do nothing, and say nothing (CVE-2019-16884). */
static int write_attribute(const char *path, const char *before, struct span value)
{
	char text[ATTRIBUTE_BYTES];
	struct text attribute = text_over(text, sizeof text);
	struct statfs status;
	text_add(&attribute, before);
	text_add_span(&attribute, value);
	if (attribute.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t written = -1;
	int error = EXDEV;
	if (fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC_) {
		written = write(fd, text, attribute.length);
		error = errno;
	}
	close(fd);
	errno = error;
	return written == (ssize_t)attribute.length ? 0 : -1;
}

int label_process(struct init *init)
{
	struct span value;
	struct failure *failure = &init->report.failure;
	if (get_span(init->process, TAG_APPARMOR_PROFILE, &value)) {
		/* The module's own directory is there since 5.8; before, or where it is the only one, the common file is its. */
		int result = write_attribute("/proc/self/attr/apparmor/exec", "exec ", value);
		if (result != 0 && access("/proc/self/attr/apparmor/exec", F_OK) != 0)
			result = write_attribute("/proc/self/attr/exec", "exec ", value);
		if (result != 0)
			return fail_at_span(failure, errno, "set AppArmor profile", value);
	}
	if (get_span(init->process, TAG_SELINUX_LABEL, &value) && write_attribute("/proc/self/attr/exec", "", value) != 0)
		return fail_at_span(failure, errno, "set SELinux label", value);
	return 0;
}
