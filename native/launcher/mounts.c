#include "../kernel.h"
#include "launcher.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static bool is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	if (strcmp(directory, "/") == 0)
		return true;
	return strncmp(path, directory, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static bool is_kept(const char *path, const char *fstype, const struct launcher_options *options)
{
	static const char *const names[] = {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm"};
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(path, names[i]) == 0)
			return true;
	if (is_below(path, "/sys/fs/cgroup") || is_below(options->run_dir, path) || is_below(options->root_dir, path))
		return true;
	/* A disk of its own for layers, but no container's overlay. */
	return is_below(path, options->root_dir) && strcmp(fstype, "overlay") != 0;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *path)
{
	char *to = path;
	for (char *from = path; *from != 0; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != 0 && from[3] != 0) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

static char *read_all(const char *path)
{
	size_t capacity = 1 << 16;
	size_t length = 0;
	char *content = malloc(capacity);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (content != NULL && fd >= 0) {
		ssize_t got = read(fd, content + length, capacity - length - 1);
		if (got <= 0)
			break;
		length += (size_t)got;
		if (length + 1 < capacity)
			continue;
		capacity *= 2;
		char *larger = realloc(content, capacity);
		if (larger == NULL)
			free(content);
		content = larger;
	}
	if (fd >= 0)
		close(fd);
	if (content != NULL)
		content[length] = 0;
	return content;
}

/* Path and type of one line: fields 5, and the one after " - ". Cuts the line up. */
static bool parse_line(char *line, char **path, char **fstype)
{
	char *dash = strstr(line, " - ");
	if (dash == NULL)
		return false;
	*fstype = dash + 3;
	char *end = strchr(*fstype, ' ');
	if (end != NULL)
		*end = 0;
	*path = line;
	for (unsigned i = 0; i < 4; i++) {
		*path = strchr(*path, ' ');
		if (*path == NULL)
			return false;
		++*path;
	}
	end = strchr(*path, ' ');
	if (end == NULL)
		return false;
	*end = 0;
	unescape(*path);
	return true;
}

/* From the last mount to the first, so that what lies on top goes before what lies below it. */
static void unmount_others(char *content, const struct launcher_options *options)
{
	size_t length = strlen(content);
	while (length > 0) {
		if (content[length - 1] == '\n')
			content[--length] = 0;
		char *line = strrchr(content, '\n');
		line = line == NULL ? content : line + 1;
		size_t start = (size_t)(line - content);
		char *path;
		char *fstype;
		if (parse_line(line, &path, &fstype) && !is_kept(path, fstype, options))
			umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		content[start] = 0;
		length = start;
	}
}

int make_own_mounts(const struct launcher_options *options, struct failure *failure)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		return fail(failure, errno, "own mount namespace");
	char *content = read_all("/proc/self/mountinfo");
	if (content == NULL)
		return fail(failure, ENOMEM, "own mount namespace");
	unmount_others(content, options);
	free(content);
	return 0;
}
