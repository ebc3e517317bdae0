/* A container that made cgroups in its own, as systemd does. */
#include "kernel.h"
#include "cgroup.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* Where in the unified hierarchy a process is, as in "0::/a/b\n" of its cgroup file; NULL: not told. */
static char *find_unified(char *content)
{
	char *line = strncmp(content, "0::/", 4) == 0 ? content : strstr(content, "\n0::/");
	if (line == NULL)
		return NULL;
	char *path = strchr(line, '/');
	path[strcspn(path, "\n")] = 0;
	return path;
}

int cgroup_join_nested(const char *directory, pid_t pid, struct failure *failure)
{
	char proc[32];
	char content[2 * PATH_MAX];
	char nested[PATH_MAX];
	struct text text = text_over(proc, sizeof proc);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	ssize_t length = read_file_in(proc, "cgroup", content, sizeof content - 1);
	content[length < 0 ? 0 : length] = 0;
	const char *path = find_unified(content);
	const char *own = strrchr(directory, '/');
	/* What follows the container's own directory, whose name is an id. */
	const char *below = path == NULL ? NULL : strstr(path, own);
	while (below != NULL && below[strlen(own)] != '/')
		below = strstr(below + 1, own);
	if (below == NULL)
		return fail_at(failure, EBUSY, "cgroup join", directory);
	text = text_over(nested, sizeof nested);
	text_add(&text, directory);
	text_add(&text, below + strlen(own));
	if (!text.cut && write_file_in(nested, "cgroup.procs", "0", 1) == 0)
		return 0;
	return fail_at(failure, text.cut ? ENAMETOOLONG : errno, "cgroup join", nested);
}

enum listing { NOTHING_LEFT, GO_DEEPER, BUSY };

/* Removes of the directories in `fd` those that can be, until one has others in it: its name. */
static enum listing remove_listed(int fd, char name[NAME_MAX + 1])
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = copy < 0 ? NULL : fdopendir(copy);
	enum listing result = listing == NULL ? BUSY : NOTHING_LEFT;
	const struct dirent *entry;
	struct stat status;
	if (listing == NULL && copy >= 0)
		close(copy);
	while (result == NOTHING_LEFT && (entry = readdir(listing)) != NULL) {
		bool own = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
		if (own || entry->d_type != DT_DIR || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		struct text text = text_over(name, NAME_MAX + 1);
		text_add(&text, entry->d_name);
		/* kernfs counts directories as links: with none in it there are processes. */
		result = fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_nlink > 2 ? GO_DEEPER : BUSY;
	}
	if (listing != NULL)
		closedir(listing);
	return result;
}

void cgroup_remove_children(const char *directory)
{
	/* By one descriptor at a time, as deep as it goes and whatever the names are. What is left is asked for again. */
	enum { MAX_STEPS = 4096 };
	unsigned depth = 0;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned step = 0; fd >= 0 && step < MAX_STEPS; step++) {
		char name[NAME_MAX + 1];
		enum listing left = remove_listed(fd, name);
		if (left == BUSY || (left == NOTHING_LEFT && depth == 0))
			break;
		/* cgroups are not moved: what is above is where we came from. */
		int next = openat(fd, left == GO_DEEPER ? name : "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
		depth += left == GO_DEEPER ? 1 : -1u;
	}
	if (fd >= 0)
		close(fd);
}
