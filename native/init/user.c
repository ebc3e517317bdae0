/* Who runs the process: numbers as given, names by the files in the container (image-spec, config.User; CRI LinuxContainerSecurityContext). */
#include "../kernel.h"
#include "steps.h"
#include "user-files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Larger ones are not read: a hostile image must not make us. */
enum { MAX_FILE_BYTES = 8 << 20 };

/*
 * An fd to read from; -1 with errno; -2: there is nothing to read. What it is is seen before it is opened, as the opening of a device that an
 * image brings can do something by itself (a watchdog starts), and again afterwards.
 */
static int open_user_file(int root_fd, const char *path, struct stat *status)
{
	uint64_t resolve = RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_;
	int fd = kernel_openat2(root_fd, path, O_PATH | O_CLOEXEC, 0, resolve);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -2 : -1;
	bool regular = fstat(fd, status) == 0 && S_ISREG(status->st_mode);
	close(fd);
	if (!regular)
		return -2;
	/* O_NONBLOCK: the open of a fifo must not hang. */
	fd = kernel_openat2(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, resolve);
	if (fd < 0 || (fstat(fd, status) == 0 && S_ISREG(status->st_mode)))
		return fd;
	close(fd);
	return -2;
}

/* A regular file of the container, whole; empty when it is not there, or something else is: a mask, say. */
static int read_user_file(struct init *init, const char *path, struct span *content)
{
	struct failure *failure = &init->report.failure;
	struct stat status;
	*content = (struct span){NULL, 0};
	int fd = open_user_file(init->root_fd, path, &status);
	if (fd < 0)
		return fd == -2 ? 0 : fail_at(failure, errno, "look up user", path);
	int error = status.st_size > MAX_FILE_BYTES ? EFBIG : 0;
	uint8_t *bytes = error == 0 ? malloc((size_t)status.st_size + 1) : NULL;
	size_t length = 0;
	while (bytes != NULL && length < (size_t)status.st_size) {
		ssize_t got = read(fd, bytes + length, (size_t)status.st_size - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	close(fd);
	if (bytes == NULL)
		return fail_at(failure, error == 0 ? ENOMEM : error, "look up user", path);
	*content = (struct span){bytes, (uint32_t)length};
	return 0;
}

static void add_gid(struct init_report *report, uint32_t gid)
{
	for (uint32_t i = 0; i < report->gid_count; i++)
		if (report->gids[i] == gid)
			return;
	if (report->gid_count < MAX_GIDS)
		report->gids[report->gid_count++] = gid;
}

/* A name wins over a number that looks the same; a number needs no entry. */
static bool find_user(struct span passwd, struct span wanted, struct passwd_entry *entry, bool *known)
{
	*known = find_passwd_by_name(passwd, wanted, entry);
	if (*known)
		return true;
	uint32_t uid;
	if (!to_id(wanted, &uid))
		return false;
	*known = find_passwd_by_uid(passwd, uid, entry);
	if (!*known)
		*entry = (struct passwd_entry){.uid = uid};
	return true;
}

static struct span user_part(struct span spec, struct span *group)
{
	const uint8_t *colon = spec.length == 0 ? NULL : memchr(spec.bytes, ':', spec.length);
	*group = (struct span){NULL, 0};
	if (colon == NULL)
		return spec;
	uint32_t length = (uint32_t)(colon - spec.bytes);
	*group = (struct span){colon + 1, spec.length - length - 1};
	return (struct span){spec.bytes, length};
}

static int find_gid(struct init *init, struct span user, struct span wanted, struct span groups, uint32_t *gid)
{
	if (has_tag(user, TAG_GID)) {
		*gid = get_u32(user, TAG_GID, 0);
		return 0;
	}
	if (wanted.length == 0 || find_group_by_name(groups, wanted, gid) || to_id(wanted, gid))
		return 0;
	return fail_at_span(&init->report.failure, ENOENT, "look up group", wanted);
}

int look_up_user(struct init *init)
{
	struct span user = get_span_or_empty(init->process, TAG_USER);
	struct init_report *report = &init->report;
	struct span passwd;
	struct span groups;
	struct span wanted_group = {NULL, 0};
	struct passwd_entry entry = {.uid = 0};
	bool known;
	if (read_user_file(init, "/etc/passwd", &passwd) != 0 || read_user_file(init, "/etc/group", &groups) != 0)
		return -1;
	if (has_tag(user, TAG_UID)) {
		uint32_t uid = get_u32(user, TAG_UID, 0);
		known = find_passwd_by_uid(passwd, uid, &entry);
		if (!known)
			entry = (struct passwd_entry){.uid = uid};
	} else {
		struct span wanted = user_part(get_span_or_empty(user, TAG_USER_SPEC), &wanted_group);
		if (wanted.length == 0)
			wanted = span_of("0");
		if (!find_user(passwd, wanted, &entry, &known))
			return fail_at_span(&report->failure, ENOENT, "look up user", wanted);
	}
	uint32_t gid = entry.gid;
	if (find_gid(init, user, wanted_group, groups, &gid) != 0)
		return -1;
	report->uid = entry.uid;
	report->gid = gid;
	add_gid(report, gid);
	struct span value;
	while (next_with_tag(&user, TAG_SUPPLEMENTAL_GID, &value))
		add_gid(report, to_u32(value));
	user = get_span_or_empty(init->process, TAG_USER);
	if (known && get_u32(user, TAG_GROUPS_POLICY, GROUPS_POLICY_MERGE) == GROUPS_POLICY_MERGE)
		while (next_group_of(&groups, entry.name, &gid))
			add_gid(report, gid);
	if (!known || entry.home.length == 0 || !span_to_string(entry.home, init->home, sizeof init->home))
		span_to_string(span_of("/"), init->home, sizeof init->home);
	return 0;
}
