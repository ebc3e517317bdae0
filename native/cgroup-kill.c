/* Killing in cgroups, v1 and v2: nothing may fork away from under it. */
#include "kernel.h"
#include "cgroup.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <time.h>

enum { MAX_DEPTH = 8 };

/* Which of the listed processes a signal is for: all, or those of one session. */
static bool is_meant(pid_t pid, pid_t sid)
{
	/* 0: a process of a namespace that we do not see. Never ourselves, whatever the plan says. */
	return pid > 1 && pid != getpid() && (sid == 0 || getsid(pid) == sid);
}

/* True when there was any. */
static bool signal_listed(const char *directory, int signo, pid_t sid)
{
	char procs[4096];
	int fd = open_file_in(directory, "cgroup.procs", O_RDONLY);
	uint64_t pid = 0;
	bool any = false;
	ssize_t length;
	while (fd >= 0 && (length = read(fd, procs, sizeof procs)) > 0)
		for (ssize_t i = 0; i < length; i++) {
			if (procs[i] >= '0' && procs[i] <= '9') {
				pid = pid * 10 + (uint64_t)(procs[i] - '0');
				continue;
			}
			if (is_meant((pid_t)pid, sid) && kill((pid_t)pid, signo) == 0)
				any = true;
			pid = 0;
		}
	if (fd >= 0)
		close(fd);
	return any;
}

/* Those below it too: a container may have made cgroups of its own and put processes there. */
static bool signal_below(const char *directory, int signo, pid_t sid, unsigned depth)
{
	bool any = signal_listed(directory, signo, sid);
	DIR *listing = depth < MAX_DEPTH ? opendir(directory) : NULL;
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL) {
		char path[PATH_MAX];
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		struct text text = text_over(path, sizeof path);
		text_add(&text, directory);
		text_add(&text, "/");
		text_add(&text, entry->d_name);
		if (!text.cut && signal_below(path, signo, sid, depth + 1))
			any = true;
	}
	if (listing != NULL)
		closedir(listing);
	return any;
}

void cgroup_signal(const struct path_list *joins, int signo)
{
	const char *path = path_list_next(joins, NULL);
	if (path != NULL)
		signal_below(path, signo, 0, 0);
}

void cgroup_kill_session(const struct path_list *joins, pid_t sid)
{
	enum { ROUNDS = 4 };
	const char *path = path_list_next(joins, NULL);
	for (unsigned i = 0; path != NULL && i < ROUNDS && signal_below(path, SIGKILL, sid, 0); i++)
		;
}

/* Writes it wherever there is such a file; the last directory that has it, or NULL. */
static const char *write_each(const struct path_list *joins, const char *name, const char *value)
{
	const char *written = NULL;
	for (const char *path = path_list_next(joins, NULL); path != NULL; path = path_list_next(joins, path))
		if (write_file_in(path, name, value, strlen(value)) == 0)
			written = path;
	return written;
}

void cgroup_thaw(const struct path_list *joins)
{
	write_each(joins, "freezer.state", "THAWED");
}

/* What is in the middle of a fork is frozen a moment later; v1 wants to be asked again for it. Bounded: a process may hang in the kernel. */
static void wait_until_frozen(const char *freezer)
{
	enum { ROUNDS = 20 };
	const struct timespec pause = {.tv_nsec = 500000};
	char state[16] = "";
	for (unsigned i = 0; i < ROUNDS; i++) {
		ssize_t length = read_file_in(freezer, "freezer.state", state, sizeof state);
		if (length >= 6 && memcmp(state, "FROZEN", 6) == 0)
			return;
		nanosleep(&pause, NULL);
		write_file_in(freezer, "freezer.state", "FROZEN", 6);
	}
}

void cgroup_kill(const struct path_list *joins)
{
	enum { ROUNDS = 16 };
	/* One step, and before v1's freezer: on a hybrid machine what that has frozen does not die of v2's kill before it is thawed. */
	if (write_each(joins, "cgroup.kill", "1") != NULL) {
		cgroup_thaw(joins);
		return;
	}
	/* From here on nothing new is made, where processes are counted. */
	write_each(joins, "pids.max", "0");
	const char *listed = path_list_next(joins, NULL);
	/* Frozen, nothing forks away under the list; the signals act when it thaws. */
	const char *freezer = write_each(joins, "freezer.state", "FROZEN");
	if (freezer != NULL) {
		wait_until_frozen(freezer);
		signal_below(freezer, SIGKILL, 0, 0);
		cgroup_thaw(joins);
		listed = freezer;
	}
	/* Killed ones stay listed until they are reaped: bounded. */
	for (unsigned i = 0; listed != NULL && i < ROUNDS && signal_below(listed, SIGKILL, 0, 0); i++)
		;
}
