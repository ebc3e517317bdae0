/* Runs of an OCI runtime's binary: begun, ended by SIGCHLD or at a deadline, never waited for. */
#include "../kernel.h"
#include "../processes.h"
#include "oci-words.h"
#include "oci.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { MAX_WORDS = 128, MAX_ORPHANS = 256, MAX_LOG_BYTES = 16384 };

static struct oci_call *calls;
/*
 * Processes that came to us and ended while a call was in flight: it may be the call's, which ended before the binary has said its pid.
 * Forgotten once no call is.
 */
static struct {
	pid_t pid;
	uint32_t exit_code;
} orphans[MAX_ORPHANS];
static unsigned orphan_count;

static void unlink_call(struct oci_call *call)
{
	struct oci_call **link = &calls;
	while (*link != NULL && *link != call)
		link = &(*link)->next;
	if (*link == call)
		*link = call->next;
	call->pid = 0;
}

static void take_stdio(const int stdio[3])
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	for (int i = 0; i < 3; i++)
		if (dup2(stdio[i] >= 0 ? stdio[i] : null_fd, i) < 0)
			_exit(126);
}

static const char *path_of(const struct oci *oci, const char *name, const char *suffix, char buffer[PATH_MAX])
{
	struct text text = text_over(buffer, PATH_MAX);
	text_add(&text, oci->directory);
	text_add(&text, "/");
	text_add(&text, name);
	text_add(&text, suffix);
	return buffer;
}

static const char *child_log;

void oci_say(const char *what, int error)
{
	char line[PATH_MAX + 128];
	struct text text = text_over(line, sizeof line);
	int fd = open(child_log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	text_add(&text, "{\"level\":\"error\",\"msg\":\"");
	text_add(&text, what);
	text_add(&text, ": ");
	text_add(&text, strerror(error));
	text_add(&text, "\"}\n");
	if (fd >= 0)
		(void)!write(fd, line, text.length);
}

_Noreturn static void run_binary(const struct oci_call *call, const struct oci_start *start)
{
	static char log_path[PATH_MAX];
	static char state_path[PATH_MAX];
	static const char *arguments[MAX_WORDS];
	char *const environment[] = {(char *)(uintptr_t)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	const char *const own[] = {
		"--root", path_of(start->oci, "state", "", state_path), "--log", path_of(start->oci, call->name, ".log", log_path), "--log-format", "json",
	};
	child_log = log_path;
	const struct path_list *command = &start->oci->command;
	const char *binary = path_list_next(command, NULL);
	unsigned count = 0;
	for (const char *word = binary; word != NULL && count < MAX_WORDS / 2; word = path_list_next(command, word))
		arguments[count++] = word;
	for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
		arguments[count++] = own[i];
	for (unsigned i = 0; start->words[i] != NULL && count < MAX_WORDS - 1; i++)
		arguments[count++] = start->words[i];
	if (start->set_up != NULL)
		start->set_up(start->job);
	take_stdio(start->stdio);
	reset_signals();
	if (chdir(start->oci->directory) == 0)
		execve(binary, (char *const *)(uintptr_t)arguments, environment);
	oci_say(binary, errno);
	_exit(126);
}

_Noreturn static void run_child(const struct oci_call *call, const struct oci_start *start, pid_t parent)
{
	int keep[MAX_FDS + 16];
	unsigned count = 0;
	for (unsigned i = 0; i < start->fd_count && count < MAX_FDS + 8; i++)
		keep[count++] = start->fds[i];
	for (unsigned i = 0; i < 3; i++)
		keep[count++] = start->stdio[i];
	keep[count++] = start->oci->mounts_fd;
	keep[count++] = start->oci->directory_fd;
	close_other_fds(keep, count);
	prctl(PR_SET_NAME, "berth-oci", 0, 0, 0);
	setsid();
	umask(022);
	/* Half a container of a monitor that is dead is for nobody. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(126);
	run_binary(call, start);
}

int oci_call_begin(struct oci_call *call, const struct oci_start *start, uint32_t timeout_ms, struct failure *failure)
{
	pid_t parent = getpid();
	call->timed_out = false;
	int pidfd = -1;
	pid_t pid = kernel_clone(0, &pidfd);
	if (pid == 0)
		run_child(call, start, parent);
	if (pid < 0)
		return fail(failure, errno, "clone");
	close(pidfd);
	call->pid = pid;
	call->until_ms = monotonic_ms() + timeout_ms;
	call->next = calls;
	calls = call;
	loop_tick_in(timeout_ms);
	return 0;
}

void oci_call_kill(struct oci_call *call)
{
	if (call->pid > 0)
		kill_tree(call->pid);
}

void oci_call_forget(struct oci_call *call)
{
	oci_call_kill(call);
	unlink_call(call);
	int fd = oci_console_finish(&call->console);
	if (fd >= 0)
		close(fd);
}

bool oci_child_exited(pid_t pid, uint32_t exit_code)
{
	struct oci_call *call = calls;
	while (call != NULL && call->pid != pid)
		call = call->next;
	if (call != NULL) {
		unlink_call(call);
		call->ended(call, exit_code);
	} else if (calls != NULL) {
		unsigned place = orphan_count < MAX_ORPHANS ? orphan_count++ : (unsigned)pid % MAX_ORPHANS;
		orphans[place].pid = pid;
		orphans[place].exit_code = exit_code;
	}
	if (calls == NULL)
		orphan_count = 0;
	return call != NULL;
}

bool oci_take_exit(pid_t pid, uint32_t *exit_code)
{
	for (unsigned i = 0; i < orphan_count; i++)
		if (orphans[i].pid == pid) {
			*exit_code = orphans[i].exit_code;
			orphans[i].pid = 0;
			return true;
		}
	return false;
}

void oci_check_deadlines(void)
{
	uint64_t now = monotonic_ms();
	for (struct oci_call *call = calls; call != NULL; call = call->next) {
		if (now < call->until_ms) {
			loop_tick_in((unsigned)(call->until_ms - now));
			continue;
		}
		/* Again until it is gone: what it made may come to us only now. */
		enum { KILL_AGAIN_MS = 20 };
		call->timed_out = true;
		oci_call_kill(call);
		loop_tick_in(KILL_AGAIN_MS);
	}
}

static ssize_t read_file_of(const struct oci *oci, const char *name, const char *suffix, struct span *content)
{
	static uint8_t buffer[MAX_LOG_BYTES];
	char path[sizeof((struct oci_call *)0)->name + 8];
	struct text text = text_over(path, sizeof path);
	text_add(&text, name);
	text_add(&text, suffix);
	int fd = openat(oci->directory_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	if (end > MAX_LOG_BYTES)
		lseek(fd, -(off_t)MAX_LOG_BYTES, SEEK_END);
	else if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	ssize_t length = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
	if (fd >= 0)
		close(fd);
	*content = (struct span){buffer, length < 0 ? 0 : (uint32_t)length};
	return length;
}

pid_t oci_read_pid(const struct oci *oci, const struct oci_call *call)
{
	struct span content;
	uint64_t pid;
	read_file_of(oci, call->name, ".pid", &content);
	while (content.length > 0 && content.bytes[content.length - 1] == '\n')
		content.length--;
	return content.length > 0 && span_to_u64(content, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

void oci_explain(const struct oci *oci, const struct oci_call *call, const char *verb, const char *program, struct failure *failure)
{
	char message[sizeof failure->path];
	char stage[sizeof failure->stage];
	struct span log;
	struct text text = text_over(stage, sizeof stage);
	text_add(&text, "runtime ");
	text_add(&text, verb);
	if (call->timed_out) {
		fail_at(failure, ETIMEDOUT, stage, "killed at its deadline");
		return;
	}
	read_file_of(oci, call->name, ".log", &log);
	if (!oci_last_message(log, message, sizeof message)) {
		fail_at(failure, EIO, stage, "it ended without a word");
		return;
	}
	int error = program == NULL ? 0 : oci_exec_error(message);
	if (error != 0)
		fail_at(failure, error, "exec", program);
	else
		fail_at(failure, EIO, stage, message);
}

void oci_unlink_files(const struct oci *oci, const struct oci_call *call)
{
	static const char *const suffixes[] = {".log", ".pid", ".json", ".sock"};
	for (unsigned i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		char path[sizeof call->name + 8];
		struct text text = text_over(path, sizeof path);
		text_add(&text, call->name);
		text_add(&text, suffixes[i]);
		unlinkat(oci->directory_fd, path, 0);
	}
}
