#include "kernel.h"
#include "processes.h"
#include "text.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

void close_other_fds(int *keep, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned j = i; j > 0 && keep[j - 1] > keep[j]; j--) {
			int higher = keep[j - 1];
			keep[j - 1] = keep[j];
			keep[j] = higher;
		}
	unsigned from = 3;
	for (unsigned i = 0; i < count; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned)keep[i] > from)
			kernel_close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	kernel_close_range(from, UINT_MAX, 0);
}

int write_whole(int fd, const void *bytes, size_t length)
{
	ssize_t written = write(fd, bytes, length);
	if (written >= 0 && (size_t)written != length)
		errno = EIO;
	return written == (ssize_t)length ? 0 : -1;
}

int open_child_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void drain_child_signals(int fd)
{
	struct signalfd_siginfo info;
	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
		;
}

struct tree {
	pid_t pids[4096];
	unsigned count;
};

static void add_to_tree(struct tree *tree, pid_t pid)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (tree->pids[i] == pid)
			return;
	if (tree->count < sizeof tree->pids / sizeof tree->pids[0])
		tree->pids[tree->count++] = pid;
}

/* Of one thread, by /proc/<pid>/task/<tid>/children. */
static void add_children_of(struct tree *tree, int tasks_fd, const char *tid)
{
	char path[64];
	char content[4096];
	struct text text = text_over(path, sizeof path);
	text_add(&text, tid);
	text_add(&text, "/children");
	int fd = openat(tasks_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	uint64_t number = 0;
	ssize_t length;
	while ((length = read(fd, content, sizeof content)) > 0)
		for (ssize_t i = 0; i < length; i++) {
			if (content[i] >= '0' && content[i] <= '9') {
				number = number * 10 + (uint64_t)(content[i] - '0');
			} else if (number > 0) {
				add_to_tree(tree, (pid_t)number);
				number = 0;
			}
		}
	close(fd);
}

static void add_children(struct tree *tree, pid_t pid)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/task");
	DIR *tasks = opendir(path);
	const struct dirent *task;
	while (tasks != NULL && (task = readdir(tasks)) != NULL)
		if (task->d_name[0] != '.')
			add_children_of(tree, dirfd(tasks), task->d_name);
	if (tasks != NULL)
		closedir(tasks);
}

void kill_tree(pid_t root)
{
	/* A child that died before it was stopped left its own to the root, or to another that was looked at already. */
	enum { ROUNDS = 8 };
	struct tree tree = {.pids = {root}, .count = 1};
	for (unsigned round = 0, before = 0; round < ROUNDS && before != tree.count; round++) {
		before = tree.count;
		for (unsigned i = 0; i < tree.count; i++) {
			kill(tree.pids[i], SIGSTOP);
			add_children(&tree, tree.pids[i]);
		}
	}
	kill(-root, SIGKILL);
	for (unsigned i = 0; i < tree.count; i++)
		kill(tree.pids[i], SIGKILL);
}

uint32_t to_exit_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128u + (uint32_t)WTERMSIG(wait_status) : (uint32_t)WEXITSTATUS(wait_status);
}

void set_oom_score_adj(int wished)
{
	char value[8];
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	struct text text = text_over(value, sizeof value);
	if (wished < 0)
		text_add(&text, "-");
	text_add_u64(&text, (uint64_t)(wished < 0 ? -wished : wished));
	/* Refused: 0, unless what was inherited is lower already and that is refused too. */
	if (write(fd, value, text.length) < 0 && wished < 0)
		(void)!write(fd, "0", 1);
	close(fd);
}

void take_oom_score_adj(pid_t pid)
{
	char path[64];
	char value[16];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/oom_score_adj");
	int from_fd = open(path, O_RDONLY | O_CLOEXEC);
	int to_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t length = from_fd < 0 ? -1 : read(from_fd, value, sizeof value);
	if (to_fd >= 0 && length > 0)
		(void)!write(to_fd, value, (size_t)length);
	if (from_fd >= 0)
		close(from_fd);
	if (to_fd >= 0)
		close(to_fd);
}
