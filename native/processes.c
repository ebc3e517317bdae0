#include "kernel.h"
#include "processes.h"
#include "text.h"

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

static void add_children(pid_t pid, pid_t *pids, unsigned *count, unsigned capacity)
{
	char path[64];
	char content[4096];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/task/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/children");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	uint64_t number = 0;
	ssize_t length;
	while ((length = read(fd, content, sizeof content)) > 0)
		for (ssize_t i = 0; i < length; i++) {
			if (content[i] >= '0' && content[i] <= '9') {
				number = number * 10 + (uint64_t)(content[i] - '0');
			} else if (number > 0) {
				if (*count < capacity)
					pids[(*count)++] = (pid_t)number;
				number = 0;
			}
		}
	close(fd);
}

void kill_tree(pid_t root)
{
	enum { MAX_TREE = 4096 };
	pid_t pids[MAX_TREE];
	unsigned count = 1;
	pids[0] = root;
	for (unsigned i = 0; i < count; i++) {
		kill(pids[i], SIGSTOP);
		add_children(pids[i], pids, &count, MAX_TREE);
	}
	/* Children of other threads of a process are not in its main thread's list; its process group is. */
	kill(-root, SIGKILL);
	for (unsigned i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
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
