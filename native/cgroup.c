#include "kernel.h"
#include "cgroup.h"
#include "processes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

bool path_list_add(struct path_list *list, struct span path)
{
	char *bytes = realloc(list->bytes, list->length + path.length + 1);
	if (bytes == NULL)
		return false;
	memcpy(bytes + list->length, path.bytes, path.length);
	bytes[list->length + path.length] = 0;
	list->bytes = bytes;
	list->length += path.length + 1;
	return true;
}

const char *path_list_next(const struct path_list *list, const char *path)
{
	const char *next = path == NULL ? list->bytes : path + strlen(path) + 1;
	return next == NULL || next >= list->bytes + list->length ? NULL : next;
}

void path_list_free(struct path_list *list)
{
	free(list->bytes);
	*list = (struct path_list){NULL, 0};
}

int open_file_in(const char *directory, const char *name, int flags)
{
	char path[PATH_MAX];
	struct text text = text_over(path, sizeof path);
	text_add(&text, directory);
	text_add(&text, "/");
	text_add(&text, name);
	if (text.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC | O_NOCTTY);
}

ssize_t read_file_in(const char *directory, const char *name, char *buffer, size_t capacity)
{
	int fd = open_file_in(directory, name, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t length = read(fd, buffer, capacity);
	int error = errno;
	close(fd);
	errno = error;
	return length;
}

int write_file_in(const char *directory, const char *name, const char *value, size_t length)
{
	int fd = open_file_in(directory, name, O_WRONLY);
	if (fd < 0)
		return -1;
	int result = write_whole(fd, value, length);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

/* An empty cpuset takes no process (cgroup-v1/cpusets.rst): what the parent has is what a container without limits gets. */
static void inherit_cpuset(const char *path, const char *parent)
{
	static const char *const names[] = {"cpuset.cpus", "cpuset.mems"};
	for (unsigned i = 0; i < 2; i++) {
		char value[4096];
		ssize_t length = read_file_in(path, names[i], value, sizeof value);
		if (length < 0 || length > 1)
			continue;
		length = read_file_in(parent, names[i], value, sizeof value);
		if (length > 1)
			write_file_in(path, names[i], value, (size_t)length);
	}
}

/* One directory, whose parent is there: 0 or an errno. */
static int make_one(char *path)
{
	if (mkdir(path, 0755) != 0)
		return errno == EROFS ? EEXIST : errno;
	/* v2 has no such files to inherit: an empty cpuset there means the parent's. */
	if (strstr(path, "cpuset") == NULL)
		return 0;
	char *last = strrchr(path, '/');
	char parent[PATH_MAX];
	struct text text = text_over(parent, sizeof parent);
	*last = 0;
	text_add(&text, path);
	*last = '/';
	inherit_cpuset(path, parent);
	return 0;
}

int cgroup_make_dir(const char *path, struct failure *failure)
{
	char partial[PATH_MAX];
	struct text copy = text_over(partial, sizeof partial);
	text_add(&copy, path);
	if (copy.cut)
		return fail_at(failure, ENAMETOOLONG, "cgroup mkdir", path);
	/* Its parent is mostly there. */
	int error = make_one(partial);
	for (char *slash = strchr(partial + 1, '/'); error == ENOENT && slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		int made = make_one(partial);
		if (made != 0 && made != EEXIST)
			return fail_at(failure, made, "cgroup mkdir", partial);
		*slash = '/';
		error = strchr(slash + 1, '/') == NULL ? make_one(partial) : ENOENT;
	}
	return error == 0 || error == EEXIST ? 0 : fail_at(failure, error, "cgroup mkdir", path);
}

static int apply_write(struct span one, struct failure *failure)
{
	char path[PATH_MAX];
	struct span value = get_span_or_empty(one, TAG_VALUE);
	if (!span_to_string(get_span_or_empty(one, TAG_PATH), path, sizeof path))
		return fail_at_span(failure, ENAMETOOLONG, "cgroup write", get_span_or_empty(one, TAG_PATH));
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, value.bytes, value.length);
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (written >= 0 || !get_u32(one, TAG_REQUIRED, 0))
		return 0;
	return fail_at(failure, error, "cgroup write", path);
}

/* A directory that is there already is not ours to remove. */
static int make_dir(struct span directory, struct path_list *made, struct failure *failure)
{
	char path[PATH_MAX];
	struct stat status;
	if (!span_to_string(directory, path, sizeof path))
		return fail_at_span(failure, ENAMETOOLONG, "cgroup mkdir", directory);
	if (stat(path, &status) == 0)
		return 0;
	if (!path_list_add(made, directory))
		return fail(failure, ENOMEM, "cgroup mkdir");
	return cgroup_make_dir(path, failure);
}

int cgroup_apply(struct span cgroup, struct path_list *made, struct failure *failure)
{
	struct span rest = cgroup;
	struct span value;
	while (next_with_tag(&rest, TAG_CGROUP_DIR, &value))
		if (make_dir(value, made, failure) != 0)
			return -1;
	rest = cgroup;
	while (next_with_tag(&rest, TAG_CGROUP_WRITE, &value))
		if (apply_write(value, failure) != 0)
			return -1;
	rest = cgroup;
	while (next_with_tag(&rest, TAG_CGROUP_PROGRAM, &value))
		if (cgroup_attach_program(value, failure) != 0)
			return -1;
	return 0;
}

bool cgroup_joins(struct span body, struct path_list *joins)
{
	struct span value;
	while (next_with_tag(&body, TAG_CGROUP_JOIN, &value))
		if (!path_list_add(joins, value))
			return false;
	return true;
}

/* The cgroup2 directory among them, open; -1: none. */
static int open_unified(const struct path_list *joins, const char **found)
{
	for (const char *path = path_list_next(joins, NULL); path != NULL; path = path_list_next(joins, path)) {
		struct statfs filesystem;
		int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		*found = path;
		if (fstatfs(fd, &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC_)
			return fd;
		close(fd);
	}
	*found = NULL;
	return -1;
}

/* The directory that `path` is in is of cgroup2. */
static bool is_in_unified(struct span path)
{
	char parent[PATH_MAX];
	struct statfs filesystem;
	if (!span_to_string(path, parent, sizeof parent))
		return false;
	char *last = strrchr(parent, '/');
	if (last == NULL || last == parent)
		return false;
	*last = 0;
	return statfs(parent, &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC_;
}

int cgroup_make_birthplace(struct span cgroup, struct path_list *made, struct failure *failure)
{
	struct span directories = cgroup;
	struct span directory;
	while (next_with_tag(&directories, TAG_CGROUP_DIR, &directory)) {
		struct span rest = cgroup;
		struct span join;
		while (next_with_tag(&rest, TAG_CGROUP_JOIN, &join))
			if (span_equals(directory, join) && is_in_unified(join))
				return make_dir(directory, made, failure);
	}
	return 0;
}

pid_t cgroup_clone(uint64_t flags, int *pidfd, const struct path_list *joins, const char **joined)
{
	int fd = open_unified(joins, joined);
	pid_t pid = fd < 0 ? -1 : kernel_clone_in(flags, pidfd, fd);
	if (pid != 0 && fd >= 0)
		close(fd);
	if (pid >= 0)
		return pid;
	/* Before 5.7; or it has cgroups of its own within (EBUSY), or as many processes as it may. */
	*joined = NULL;
	return kernel_clone(flags, pidfd);
}

int cgroup_join(const char *directory, struct failure *failure)
{
	/*
	 * v1's `tasks` moves one thread, and we have only one: for that the kernel (since 5.19) needs no grace period, which costs cgroup.procs
	 * up to 7 ms (cgroup_procs_write_start in kernel/cgroup/cgroup.c). v2 has no such file.
	 */
	if (write_file_in(directory, "tasks", "0", 1) == 0 || write_file_in(directory, "cgroup.procs", "0", 1) == 0)
		return 0;
	return fail_at(failure, errno, "cgroup join", directory);
}

/* 0, or the errno with which it stays. */
static int remove_one(const char *path, bool with_children)
{
	struct stat status;
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY || stat(path, &status) != 0)
		return errno;
	/* kernfs counts the directories in it as links, as other file systems do. */
	if (status.st_nlink <= 2)
		return EBUSY;
	if (!with_children)
		return 0;
	cgroup_remove_children(path);
	return rmdir(path) == 0 ? 0 : errno;
}

int cgroup_remove(const struct path_list *made, bool with_children)
{
	int error = 0;
	uint32_t end = made->length;
	while (end > 0) {
		uint32_t start = end - 1;
		while (start > 0 && made->bytes[start - 1] != 0)
			start--;
		int one = remove_one(made->bytes + start, with_children);
		if (error == 0)
			error = one;
		end = start;
	}
	return error;
}

static bool has_oom_kill(const char *content)
{
	const char *line = strstr(content, "oom_kill ");
	/* memory.events: "oom_kill 1"; memory.oom_control: the same among others. Not "oom_kill_disable". */
	return line != NULL && (line == content || line[-1] == '\n') && line[9] >= '1' && line[9] <= '9';
}

bool cgroup_oom_killed(const struct path_list *joins)
{
	static const char *const names[] = {"memory.oom_control", "memory.events"};
	for (const char *path = path_list_next(joins, NULL); path != NULL; path = path_list_next(joins, path))
		for (unsigned i = 0; i < 2; i++) {
			char content[1024];
			ssize_t length = read_file_in(path, names[i], content, sizeof content - 1);
			if (length <= 0)
				continue;
			content[length] = 0;
			return has_oom_kill(content);
		}
	return false;
}
