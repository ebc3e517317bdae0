/* time_namespaces(7): offsets of the monotonic and the boot-time clock. */
#include "../kernel.h"
#include "../processes.h"
#include "steps.h"

static void add_i64(struct text *text, int64_t number)
{
	if (number < 0)
		text_add(text, "-");
	text_add_u64(text, number < 0 ? (uint64_t)0 - (uint64_t)number : (uint64_t)number);
}

static int write_offsets(struct span body)
{
	char lines[256];
	struct text text = text_over(lines, sizeof lines);
	struct span one;
	while (next_with_tag(&body, TAG_TIME_OFFSET, &one)) {
		text_add_u64(&text, get_u32(one, TAG_CLOCK, 0));
		text_add(&text, " ");
		add_i64(&text, (int64_t)get_u64(one, TAG_SECONDS, 0));
		text_add(&text, " ");
		text_add_u64(&text, get_u32(one, TAG_NANOSECONDS, 0));
		text_add(&text, "\n");
	}
	int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : write_whole(fd, lines, text.length);
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return result;
}

int new_time_namespace(struct init *init)
{
	struct failure *failure = &init->report.failure;
	if (!has_tag(init->job->body, TAG_TIME_OFFSET))
		return 0;
	if (unshare(CLONE_NEWTIME_) != 0)
		return fail(failure, errno, "time namespace");
	if (write_offsets(init->job->body) != 0)
		return fail(failure, errno, "set time offsets");
	/* unshare(2) leaves the caller itself where it was; this takes it along, and after it the offsets cannot be changed. */
	int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : setns(fd, CLONE_NEWTIME_);
	int error = errno;
	if (fd >= 0)
		close(fd);
	return result == 0 ? 0 : fail(failure, error, "enter time namespace");
}

int enter_time_namespace(struct init *init)
{
	/* EINVAL: the kernel has none, so neither has the container. */
	if (setns(init->job->inside_pidfd, CLONE_NEWTIME_) == 0 || errno == EINVAL)
		return 0;
	return fail(&init->report.failure, errno, "enter time namespace");
}
