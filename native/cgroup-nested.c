/* A container that made cgroups in its own, as systemd does. */
#include "kernel.h"
#include "cgroup.h"

#include <limits.h>
#include <string.h>

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
