/* In the child: config.json, or an exec's process, of the pieces that the daemon sent and of what only the set-up knows. */
#include "../kernel.h"
#include "../init/steps.h"
#include "oci.h"

#include <stdlib.h>
#include <sys/statvfs.h>

/* ST_* of each mount that was attached (statvfs(3)), and which of them is written next. */
static unsigned long *mount_options;
static unsigned mount_count;
static unsigned mount_written;

bool oci_add_mount_options(unsigned long options)
{
	unsigned long *more = reallocarray(mount_options, mount_count + 1, sizeof *mount_options);
	if (more == NULL)
		return false;
	mount_options = more;
	mount_options[mount_count++] = options;
	return true;
}

static int write_all(int fd, struct span text)
{
	while (text.length > 0) {
		ssize_t written = write(fd, text.bytes, text.length);
		if (written < 0 && errno != EINTR)
			return -1;
		if (written > 0)
			text = (struct span){text.bytes + written, text.length - (uint32_t)written};
	}
	return 0;
}

/* Within a JSON string. */
static int write_escaped(int fd, const char *string)
{
	static char buffer[PATH_MAX * 6];
	struct text text = text_over(buffer, sizeof buffer);
	for (; *string != 0; string++) {
		char one[2] = {*string, 0};
		if (*string == '"' || *string == '\\')
			text_add(&text, "\\");
		if ((unsigned char)*string >= 0x20)
			text_add(&text, one);
		else {
			text_add(&text, "\\u00");
			text_add(&text, *string >= 0x10 ? "1" : "0");
			one[0] = "0123456789abcdef"[*string & 15];
			text_add(&text, one);
		}
	}
	return write_all(fd, span_of(buffer));
}

/* runtime-spec, config.md, "POSIX-platform User". */
static int write_user(const struct init *init, int fd)
{
	static char buffer[64 + MAX_GIDS * 11];
	const struct init_report *report = &init->report;
	struct text text = text_over(buffer, sizeof buffer);
	text_add(&text, "{\"uid\":");
	text_add_u64(&text, report->uid);
	text_add(&text, ",\"gid\":");
	text_add_u64(&text, report->gid);
	text_add(&text, ",\"additionalGids\":[");
	for (uint32_t i = 0; i < report->gid_count; i++) {
		text_add(&text, i == 0 ? "" : ",");
		text_add_u64(&text, report->gids[i]);
	}
	text_add(&text, "]}");
	return write_all(fd, span_of(buffer));
}

static int write_home(const struct init *init, int fd)
{
	if (write_all(fd, span_of("\"HOME=")) != 0 || write_escaped(fd, init->home) != 0)
		return -1;
	return write_all(fd, span_of("\""));
}

/* A runtime mounts anew with the options that it is told: all that the mount has, or they would be taken off. */
static int write_mount_options(int fd)
{
	static const struct {
		unsigned long flag;
		const char *name;
	} names[] = {
		{ST_NOSUID, ",\"nosuid\""},	  {ST_NODEV, ",\"nodev\""},		{ST_NOEXEC, ",\"noexec\""},
		{ST_NOATIME, ",\"noatime\""}, {ST_NODIRATIME, ",\"nodiratime\""}, {ST_RELATIME, ",\"relatime\""},
	};
	char buffer[128];
	unsigned long options = mount_written < mount_count ? mount_options[mount_written] : 0;
	struct text text = text_over(buffer, sizeof buffer);
	mount_written++;
	text_add(&text, options & ST_RDONLY ? "\"ro\"" : "\"rw\"");
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (options & names[i].flag)
			text_add(&text, names[i].name);
	return write_all(fd, span_of(buffer));
}

int oci_write_config(const struct oci *oci, struct init *init, const char *name)
{
	struct span rest = get_span_or_empty(init->job->body, TAG_OCI);
	struct span piece;
	int fd = openat(oci->directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = fd < 0 ? -1 : 0;
	while (result == 0 && next_with_tag(&rest, TAG_OCI_CONFIG, &piece)) {
		uint32_t insert = get_u32(piece, TAG_OCI_INSERT, OCI_INSERT_NOTHING);
		result = write_all(fd, get_span_or_empty(piece, TAG_OCI_TEXT));
		if (result == 0 && insert == OCI_INSERT_BUNDLE)
			result = write_escaped(fd, oci->directory);
		else if (result == 0 && insert == OCI_INSERT_USER)
			result = write_user(init, fd);
		else if (result == 0 && insert == OCI_INSERT_HOME)
			result = write_home(init, fd);
		else if (result == 0 && insert == OCI_INSERT_MOUNT_OPTIONS)
			result = write_mount_options(fd);
	}
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return result == 0 ? 0 : fail_at(&init->report.failure, errno, "write config", name);
}
