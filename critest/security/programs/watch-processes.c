/*
 * watch-processes MARKER: in a container with CAP_SYS_PTRACE, looks at every process of /proc that comes, as often as it can, until there is a file /enough.
 * Prints a line for each thing that no container may have, and at the end "tries N processes N".
 *
 * MARKER: an absolute path of the node that is not in the container; who can open <process's root>/MARKER, or the same below its working
 * directory or one of its descriptors, is on the node's file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PID = 1 << 22, WORDS = MAX_PID / 64 };

static unsigned long tries;
static unsigned long processes;
static uint64_t seen[WORDS];
static const char *marker;
static unsigned long long own_permitted;

static void found(const char *what, const char *where, const char *detail)
{
	printf("FOUND %s %s %s\n", what, where, detail);
	fflush(stdout);
}

/* Also by "..", as the directory may lie anywhere below the node's root. */
static void look_below(const char *link)
{
	char path[4096];
	char up[64] = "";
	for (int i = 0; i < 12; i++) {
		snprintf(path, sizeof path, "%s/%s%s", link, up, marker);
		tries++;
		if (access(path, F_OK) == 0) {
			found("node's files", link, path);
			return;
		}
		strcat(up, "../");
	}
}

static void look_at_descriptors(const char *pid)
{
	char path[512];
	char target[4096];
	struct dirent *entry;
	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *listing = opendir(path);
	while (listing != NULL && (entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
		ssize_t length = readlink(path, target, sizeof target - 1);
		tries++;
		if (length <= 0)
			continue;
		target[length] = 0;
		struct stat status;
		if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
			look_below(path);
		if (strncmp(target, "pipe:", 5) != 0 && strncmp(target, "socket:", 7) != 0 && strncmp(target, "/dev/", 5) != 0 && strncmp(target, "/proc/", 6) != 0 &&
		    strcmp(target, "/") != 0 && strcmp(target, "/enough") != 0 && strncmp(target, "anon_inode:[fscontext]", 22) != 0)
			found("descriptor", path, target);
	}
	if (listing != NULL)
		closedir(listing);
}

static unsigned long long capabilities_of(const char *pid, char *user_namespace, size_t size)
{
	char path[64];
	char text[8192];
	snprintf(path, sizeof path, "/proc/%s/ns/user", pid);
	ssize_t length = readlink(path, user_namespace, size - 1);
	user_namespace[length < 0 ? 0 : length] = 0;
	snprintf(path, sizeof path, "/proc/%s/status", pid);
	int fd = open(path, O_RDONLY);
	length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[length < 0 ? 0 : length] = 0;
	char *line = strstr(text, "CapPrm:");
	return line == NULL ? 0 : strtoull(line + 7, NULL, 16);
}

/* Memory: what the node's paths are must not be in it. */
static void look_at_words(const char *pid)
{
	static const char *const files[] = {"cmdline", "environ"};
	for (unsigned i = 0; i < 2; i++) {
		char path[64];
		char text[8192];
		snprintf(path, sizeof path, "/proc/%s/%s", pid, files[i]);
		int fd = open(path, O_RDONLY);
		ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
		if (fd >= 0)
			close(fd);
		tries++;
		if (length > 0 && memmem(text, (size_t)length, "--run-dir", 9) != NULL)
			found("launcher's arguments", path, "--run-dir");
	}
}

static void look_at(const char *pid)
{
	char own[64];
	char theirs[64];
	char path[128];
	snprintf(path, sizeof path, "/proc/%s/root", pid);
	look_below(path);
	snprintf(path, sizeof path, "/proc/%s/cwd", pid);
	look_below(path);
	look_at_descriptors(pid);
	look_at_words(pid);
	capabilities_of("self", own, sizeof own);
	unsigned long long permitted = capabilities_of(pid, theirs, sizeof theirs);
	tries++;
	/* Capabilities in a user namespace of its own are none here. */
	if ((permitted & ~own_permitted) != 0 && strcmp(own, theirs) == 0) {
		snprintf(path, sizeof path, "%llx of %llx", permitted, own_permitted);
		found("capabilities", pid, path);
	}
}

/*
 * Holds it, so that what it has can be looked at in peace, as a debugger would. Its end, when it comes meanwhile, is waited for: the kernel
 * tells the parent of the end of one that is traced only after the tracer has heard of it.
 */
static void seize(pid_t pid, const char *name)
{
	int status;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return;
	tries++;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		return;
	look_at(name);
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		waitpid(pid, &status, __WALL);
}

static void look_at_new(pid_t pid)
{
	char name[16];
	snprintf(name, sizeof name, "%d", pid);
	seen[pid / 64] |= 1ull << pid % 64;
	processes++;
	look_at(name);
	/* Every second one is left alone: what is traced is slow, and shows less of what comes next. */
	if (processes % 2 == 0)
		seize(pid, name);
}

static bool is_new(pid_t pid)
{
	return pid > 0 && pid < MAX_PID && pid != getpid() && (seen[pid / 64] >> pid % 64 & 1) == 0;
}

/* Pids of a namespace come one after the other: a look at the next ones is quicker than a list. */
static void look_around(unsigned round)
{
	static pid_t highest;
	for (pid_t pid = highest + 1; pid < highest + 4; pid++) {
		char path[32];
		snprintf(path, sizeof path, "/proc/%d", pid);
		if (is_new(pid) && access(path, F_OK) == 0) {
			look_at_new(pid);
			highest = pid;
			return;
		}
	}
	DIR *listing = round % 64 == 0 ? opendir("/proc") : NULL;
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL) {
		pid_t pid = atoi(entry->d_name);
		if (pid > highest && pid < MAX_PID)
			highest = pid;
		if (is_new(pid))
			look_at_new(pid);
	}
	if (listing != NULL)
		closedir(listing);
}

int main(int count, char **arguments)
{
	char unused[64];
	if (count != 2)
		return 2;
	marker = arguments[1];
	own_permitted = capabilities_of("self", unused, sizeof unused);
	printf("watching\n");
	fflush(stdout);
	for (unsigned round = 0; access("/enough", F_OK) != 0; round++)
		look_around(round);
	printf("tries %lu processes %lu\n", tries, processes);
	return 0;
}
