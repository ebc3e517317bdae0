#include "../kernel.h"
#include "paths.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LINKS = 8 };

static int make_dirs(int root_fd, const char *path, unsigned links);

static int open_string(int root_fd, const char *path, uint64_t flags)
{
	return kernel_openat2(root_fd, path, O_PATH | O_CLOEXEC | flags, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);
}

int open_in_root(int root_fd, struct span path, uint64_t flags)
{
	char buffer[PATH_MAX];
	if (!span_to_string(path, buffer, sizeof buffer)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open_string(root_fd, buffer, flags);
}

/* Splits before the last component: "/a/b/" → "/a" and "b". */
static bool split_last(char *path, char name[256])
{
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	size_t length = end - start;
	if (length == 0 || length > 255 || (length <= 2 && memcmp(path + start, "..", length) == 0))
		return false;
	memcpy(name, path + start, length);
	name[length] = 0;
	path[start == 0 ? 0 : start] = 0;
	return true;
}

/* The path where a dangling link points, in terms of the root: `directory` holds the link `name`. */
static bool read_link_in(int directory_fd, const char *directory, const char *name, char target[PATH_MAX])
{
	char link[PATH_MAX];
	ssize_t length = readlinkat(directory_fd, name, link, sizeof link - 1);
	if (length <= 0)
		return false;
	link[length] = 0;
	struct text text = text_over(target, PATH_MAX);
	if (link[0] != '/') {
		text_add(&text, directory);
		text_add(&text, "/");
	}
	text_add(&text, link);
	return !text.cut;
}

/* One component below `directory`; a link that points to nothing gets what it points to. */
static int make_one(int root_fd, const char *directory, const char *name, bool is_directory, unsigned links)
{
	int directory_fd = make_dirs(root_fd, directory, links);
	if (directory_fd < 0)
		return -1;
	int result = is_directory ? mkdirat(directory_fd, name, 0755) : mknodat(directory_fd, name, S_IFREG | 0644, 0);
	int error = result == 0 ? 0 : errno;
	char target[PATH_MAX];
	if (error == EEXIST && links < MAX_LINKS && read_link_in(directory_fd, directory, name, target)) {
		char last[256];
		error = ELOOP;
		if (split_last(target, last))
			error = make_one(root_fd, target, last, is_directory, links + 1) == 0 ? 0 : errno;
	}
	close(directory_fd);
	errno = error;
	return error == 0 || error == EEXIST ? 0 : -1;
}

/* The directory `path`, whose parent is there. */
static int make_last(int root_fd, const char *path, unsigned links)
{
	char parent[PATH_MAX];
	char name[256];
	struct text text = text_over(parent, sizeof parent);
	text_add(&text, path);
	if (text.cut || !split_last(parent, name)) {
		errno = text.cut ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	return make_one(root_fd, parent, name, true, links);
}

/* All of `rest` below a directory that was just made: nothing of it is there. Takes the fd. */
static int make_rest(int directory_fd, char *rest)
{
	for (char *name = rest + strspn(rest, "/"); *name != 0; name += strspn(name, "/")) {
		char *end = name + strcspn(name, "/");
		char after = *end;
		*end = 0;
		int fd = -1;
		errno = ENOENT;
		if (strcmp(name, "..") != 0 && (mkdirat(directory_fd, name, 0755) == 0 || errno == EEXIST))
			fd = openat(directory_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;
		close(directory_fd);
		errno = error;
		if (fd < 0)
			return -1;
		directory_fd = fd;
		*end = after;
		name = end;
	}
	return directory_fd;
}

/* From the top, one after the other: a path has up to two thousand components, which is too deep to go down by recursion. */
static int make_dirs(int root_fd, const char *path, unsigned links)
{
	char partial[PATH_MAX];
	int fd = open_string(root_fd, path[0] == 0 ? "/" : path, O_DIRECTORY);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	struct text text = text_over(partial, sizeof partial);
	text_add(&text, path);
	if (text.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *end = partial + strspn(partial, "/"); *end != 0; end += strspn(end, "/")) {
		end += strcspn(end, "/");
		char after = *end;
		*end = 0;
		fd = open_string(root_fd, partial, O_DIRECTORY);
		bool missing = fd < 0 && errno == ENOENT;
		if (missing && make_last(root_fd, partial, links) == 0)
			fd = open_string(root_fd, partial, O_DIRECTORY);
		*end = after;
		if (fd < 0 || missing)
			return fd < 0 ? -1 : make_rest(fd, end);
		close(fd);
	}
	return open_string(root_fd, path, O_DIRECTORY);
}

int make_dirs_in_root(int root_fd, struct span path)
{
	char buffer[PATH_MAX];
	if (!span_to_string(path, buffer, sizeof buffer)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return make_dirs(root_fd, buffer, 0);
}

int make_target_in_root(int root_fd, struct span path, bool directory)
{
	char buffer[PATH_MAX];
	char name[256];
	if (directory)
		return make_dirs_in_root(root_fd, path);
	int fd = open_in_root(root_fd, path, 0);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (!span_to_string(path, buffer, sizeof buffer) || !split_last(buffer, name)) {
		errno = EINVAL;
		return -1;
	}
	if (make_one(root_fd, buffer, name, false, 0) != 0)
		return -1;
	return open_in_root(root_fd, path, 0);
}

int make_parent_in_root(int root_fd, struct span path, char name[256])
{
	char buffer[PATH_MAX];
	if (!span_to_string(path, buffer, sizeof buffer) || !split_last(buffer, name)) {
		errno = EINVAL;
		return -1;
	}
	return make_dirs(root_fd, buffer, 0);
}
