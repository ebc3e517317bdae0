/*
 * berth-launcher --run-dir DIR --root-dir DIR [--cgroup-dir DIR]... [--oom-score-adj N]
 *
 * Puts itself into the background; exits 0 once it listens on DIR/launcher.sock. Else it says why on stderr and exits 1.
 */
#include "../kernel.h"
#include "../memory.h"
#include "../processes.h"
#include "launcher.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct launcher launcher;

static void say(const char *first, const char *second, const char *third)
{
	char line[1024];
	struct text text = text_over(line, sizeof line);
	text_add(&text, "berth-launcher: ");
	text_add(&text, first);
	if (second[0] != 0) {
		text_add(&text, ": ");
		text_add(&text, second);
	}
	text_add(&text, ": ");
	text_add(&text, third);
	text_add(&text, "\n");
	(void)!write(STDERR_FILENO, line, text.length);
}

_Noreturn static void end_with(const struct failure *failure)
{
	say(failure->stage, failure->path, strerror(failure->error));
	_exit(1);
}

static bool parse_number(const char *text, int *number)
{
	uint64_t value;
	bool negative = text[0] == '-';
	if (!span_to_u64(span_of(text + negative), 1000, &value))
		return false;
	*number = negative ? -(int)value : (int)value;
	return true;
}

static bool parse_option(struct launcher_options *options, const char *name, const char *value)
{
	bool is_directory = value[0] == '/';
	if (strcmp(name, "--run-dir") == 0)
		return is_directory && span_to_string(span_of(value), options->run_dir, sizeof options->run_dir);
	if (strcmp(name, "--root-dir") == 0)
		return is_directory && span_to_string(span_of(value), options->root_dir, sizeof options->root_dir);
	if (strcmp(name, "--oom-score-adj") == 0)
		return parse_number(value, &options->oom_score_adj);
	if (strcmp(name, "--cgroup-dir") != 0 || !is_directory || options->cgroup_dir_count == MAX_CGROUP_DIRS)
		return false;
	options->cgroup_dirs[options->cgroup_dir_count++] = value;
	return true;
}

static bool parse_options(struct launcher_options *options, char **arguments)
{
	for (unsigned i = 1; arguments[i] != NULL; i += 2) {
		if (arguments[i + 1] != NULL && parse_option(options, arguments[i], arguments[i + 1]))
			continue;
		say("bad option", arguments[i], arguments[i + 1] == NULL ? "(no value)" : arguments[i + 1]);
		return false;
	}
	if (options->run_dir[0] != 0 && options->root_dir[0] != 0)
		return true;
	say("missing option", "", "--run-dir and --root-dir are required and absolute");
	return false;
}

/* The process that was started waits for the one that stays. */
static int go_into_background(struct failure *failure)
{
	int ends[2];
	char ready = 0;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail(failure, errno, "pipe");
	pid_t pid = fork();
	if (pid < 0)
		return fail(failure, errno, "fork");
	if (pid > 0) {
		close(ends[1]);
		waitpid(pid, NULL, 0);
		_exit(read(ends[0], &ready, 1) == 1 ? 0 : 1);
	}
	setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0 ? 1 : 0);
	close(ends[0]);
	return ends[1];
}

static int make_canonical(char *directory, size_t capacity, struct failure *failure)
{
	char resolved[PATH_MAX];
	if (realpath(directory, resolved) == NULL)
		return fail_at(failure, errno, "open", directory);
	return span_to_string(span_of(resolved), directory, capacity) ? 0 : fail_at(failure, ENAMETOOLONG, "open", resolved);
}

/* Held until our end. A launcher that is just ending holds it for a moment. */
static int lock_directory(const char *run_dir, struct failure *failure)
{
	enum { TRIES = 100 };
	char path[PATH_MAX];
	struct text text = text_over(path, sizeof path);
	text_add(&text, run_dir);
	text_add(&text, "/launcher.lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_at(failure, errno, "lock", path);
	for (unsigned i = 0; i < TRIES; i++) {
		struct timespec pause = {.tv_nsec = 10000000};
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	close(fd);
	return fail_at(failure, EWOULDBLOCK, "another launcher runs", path);
}

static int open_directories(struct launcher_options *options, struct failure *failure)
{
	if (make_canonical(options->run_dir, sizeof options->run_dir, failure) != 0 ||
	    make_canonical(options->root_dir, sizeof options->root_dir, failure) != 0)
		return -1;
	struct text text = text_over(launcher.pods_directory, sizeof launcher.pods_directory);
	text_add(&text, options->run_dir);
	text_add(&text, "/pods");
	if (mkdir(launcher.pods_directory, 0700) != 0 && errno != EEXIST)
		return fail_at(failure, errno, "mkdir", launcher.pods_directory);
	return lock_directory(options->run_dir, failure);
}

static int join_cgroups(const struct launcher_options *options, struct failure *failure)
{
	for (unsigned i = 0; i < options->cgroup_dir_count; i++)
		if (cgroup_make_dir(options->cgroup_dirs[i], failure) != 0 || cgroup_join(options->cgroup_dirs[i], failure) != 0)
			return -1;
	return 0;
}

static int start_listening(const struct launcher_options *options, struct failure *failure)
{
	static const struct endpoint endpoint = {ROLE_LAUNCHER, NULL, on_launcher_message, on_link_closed};
	/* Opened in our own mount namespace. */
	int run_fd = open(options->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	launcher.pods_fd = open(launcher.pods_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (run_fd < 0 || launcher.pods_fd < 0)
		return fail_at(failure, errno, "open", options->run_dir);
	if (loop_open() != 0)
		return fail(failure, errno, "epoll");
	connections_begin(&endpoint);
	loop_set_tick(on_launcher_tick);
	int signals_fd = open_child_signals();
	if (signals_fd < 0 || loop_watch(&launcher.children, signals_fd, EPOLLIN, on_launcher_children) != 0)
		return fail(failure, errno, "signalfd");
	adopt_monitors();
	int result = listen_in(run_fd, "launcher.sock", &launcher.listener, failure);
	close(run_fd);
	return result;
}

static void forget_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/*
 * What we were started with is in the memory of every process that we clone, where containers can read it: paths of the node. proc(5),
 * cmdline: when the last byte is no NUL the first string is all that is shown.
 */
static void forget_arguments(char **arguments)
{
	extern char **environ;
	static const char title[] = "berth-launcher";
	char *start = arguments[0];
	char *end = start + strlen(start) + 1;
	for (unsigned i = 1; arguments[i] != NULL; i++)
		if (arguments[i] == end)
			end += strlen(end) + 1;
	size_t length = (size_t)(end - start);
	for (unsigned i = 0; environ[i] != NULL; i++)
		memset(environ[i], 0, strlen(environ[i]));
	memset(start, 0, length);
	end[-1] = ' ';
	if (length > sizeof title)
		memcpy(start, title, sizeof title);
}

int main(int count, char **arguments)
{
	static struct launcher_options options PAGE_ALIGNED;
	struct failure failure = {0};
	if (count > 0 && is_pause(arguments[0]))
		run_pause();
	kernel_close_range(3, UINT_MAX, 0);
	if (!parse_options(&options, arguments))
		return 2;
	if (run_from_memory(arguments, &failure) != 0)
		end_with(&failure);
	int ready_fd = go_into_background(&failure);
	if (ready_fd < 0)
		end_with(&failure);
	prctl(PR_SET_NAME, "berth-launcher", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	umask(022);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") != 0 || open_directories(&options, &failure) != 0 || join_cgroups(&options, &failure) != 0)
		end_with(&failure);
	set_oom_score_adj(options.oom_score_adj);
	if (make_own_mounts(&options, &failure) != 0 || start_listening(&options, &failure) != 0)
		end_with(&failure);
	forget_terminal();
	forget_arguments(arguments);
	(void)!write(ready_fd, "r", 1);
	close(ready_fd);
	loop_run();
	char path[PATH_MAX];
	struct text text = text_over(path, sizeof path);
	text_add(&text, options.run_dir);
	text_add(&text, "/launcher.sock");
	unlink(path);
	return 0;
}
