/* Containers of an OCI runtime: create, start, delete. */
#include "../kernel.h"
#include "../pod-directory.h"
#include "oci.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEFAULT_TIMEOUT_MS = 60000, DELETE_TIMEOUT_MS = 3000 };

static void on_call_ended(struct oci_call *call, uint32_t exit_code);

void oci_free(struct oci *oci)
{
	if (oci == NULL)
		return;
	oci_call_forget(&oci->call);
	if (oci->mounts_fd >= 0)
		close(oci->mounts_fd);
	if (oci->directory_fd >= 0)
		close(oci->directory_fd);
	path_list_free(&oci->command);
	free(oci->user);
	free(oci);
}

static int read_command(struct oci *oci, struct message *message, struct failure *failure)
{
	struct span group = get_span_or_empty(message->body, TAG_OCI);
	struct span rest = group;
	struct span value;
	bool added = path_list_add(&oci->command, get_span_or_empty(group, TAG_PATH));
	while (added && next_with_tag(&rest, TAG_OCI_ARG, &value))
		added = path_list_add(&oci->command, value);
	oci->timeout_ms = get_u32(group, TAG_OCI_TIMEOUT_MS, DEFAULT_TIMEOUT_MS);
	struct span process = get_span_or_empty(message->body, TAG_PROCESS);
	span_to_string(get_span_or_empty(process, TAG_ARG), oci->program, sizeof oci->program);
	if (get_span(group, TAG_OCI_NAMESPACE_FD, &value)) {
		oci->mounts_fd = message->fds[to_u32(value)];
		message->fds[to_u32(value)] = -1;
	}
	return added ? 0 : fail(failure, ENOMEM, "create");
}

static int make_directory(struct oci *oci, struct failure *failure)
{
	static const char *const inner[] = {"rootfs", "mounts", "state"};
	struct text text = text_over(oci->directory, sizeof oci->directory);
	text_add(&text, monitor.directory);
	text_add(&text, "/oci");
	if (mkdir(oci->directory, 0700) != 0 && errno != EEXIST)
		return fail_at(failure, errno, "mkdir", oci->directory);
	text_add(&text, "/");
	text_add(&text, oci->container->id);
	if (text.cut)
		return fail_at(failure, ENAMETOOLONG, "mkdir", oci->directory);
	if (mkdir(oci->directory, 0700) != 0)
		return fail_at(failure, errno, "mkdir", oci->directory);
	oci->directory_fd = open(oci->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (oci->directory_fd < 0)
		return fail_at(failure, errno, "open", oci->directory);
	for (unsigned i = 0; i < sizeof inner / sizeof inner[0]; i++)
		if (mkdirat(oci->directory_fd, inner[i], 0700) != 0)
			return fail_at(failure, errno, "mkdir", inner[i]);
	return 0;
}

int oci_prepare(struct container *container, struct message *message, struct failure *failure)
{
	struct oci *oci = calloc(1, sizeof *oci);
	if (oci == NULL)
		return fail(failure, ENOMEM, "create");
	container->oci = oci;
	oci->container = container;
	oci->mounts_fd = oci->directory_fd = -1;
	oci->call.console = (struct oci_console){.listener.fd = -1, .peer.fd = -1, .terminal_fd = -1};
	oci->call.ended = on_call_ended;
	return read_command(oci, message, failure) != 0 ? -1 : make_directory(oci, failure);
}

static void name_call(struct oci *oci, const char *name)
{
	struct text text = text_over(oci->call.name, sizeof oci->call.name);
	text_add(&text, name);
}

int oci_create(struct container *container, struct message *message, const int theirs[4], struct failure *failure)
{
	struct oci *oci = container->oci;
	bool terminal = get_u32(get_span_or_empty(message->body, TAG_PROCESS), TAG_TTY, 0) != 0;
	const char *const words[] = {
		"create", "--bundle", ".", "--pid-file", "create.pid", terminal ? "--console-socket" : container->id, terminal ? "create.sock" : NULL, container->id, NULL,
	};
	struct oci_set_up_job job = {.oci = oci, .joins = &container->joins};
	job.init = (struct init_job){
		.body = message->body,
		.fds = message->fds,
		.fd_count = message->fd_count,
		.control_fd = theirs[0],
		.shm_path = monitor.has_shm ? monitor.shm_path : NULL,
		.inside_pidfd = -1,
		.user_namespace = monitor.user_namespace,
	};
	int keep[MAX_FDS + 1];
	unsigned count = 0;
	for (uint32_t i = 0; i < message->fd_count; i++)
		keep[count++] = message->fds[i];
	keep[count++] = theirs[0];
	struct oci_start start = {
		.oci = oci,
		.words = words,
		.stdio = {theirs[1], theirs[2], theirs[3]},
		.set_up = oci_set_up_container,
		.job = &job,
		.fds = keep,
		.fd_count = count,
	};
	name_call(oci, "create");
	oci->step = OCI_CREATING;
	if (terminal && oci_console_listen(&oci->call.console, oci->directory_fd, "create.sock", failure) != 0)
		return -1;
	return oci_call_begin(&oci->call, &start, oci->timeout_ms, failure);
}

void oci_user_known(struct container *container, const struct init_report *report)
{
	/* Without memory it is root's container in the reply; the set-up wrote who runs it into the config. */
	container->oci->user = malloc(sizeof *report);
	if (container->oci->user != NULL)
		*container->oci->user = *report;
}

static void reply_created(struct container *container)
{
	const struct init_report *user = container->oci->user;
	struct writer *writer = begin_reply(container->asker);
	container->ready = true;
	if (writer != NULL) {
		write_u32(writer, TAG_PID, (uint32_t)container->pid);
		write_u32(writer, TAG_UID, user == NULL ? 0 : user->uid);
		write_u32(writer, TAG_GID, user == NULL ? 0 : user->gid);
		for (uint32_t i = 0; user != NULL && i < user->gid_count && i < MAX_GIDS; i++)
			write_u32(writer, TAG_SUPPLEMENTAL_GID, user->gids[i]);
		send_reply(container->asker, writer);
	}
	container->asker.connection = 0;
	free(container->oci->user);
	container->oci->user = NULL;
}

/* The binary ended well: its child is ours now. -1: there is none. */
static int take_over(struct container *container, struct failure *failure)
{
	struct oci *oci = container->oci;
	uint32_t exit_code;
	pid_t pid = oci_read_pid(oci, &oci->call);
	if (pid <= 1)
		return fail_at(failure, ESRCH, "runtime create", "it wrote down no process");
	container->pid = pid;
	container->reaped = false;
	if (oci_take_exit(pid, &exit_code)) {
		if (!container->removing)
			reply_created(container);
		container_exited(container, exit_code);
		return 0;
	}
	container->pidfd = kernel_pidfd_open(pid);
	if (container->pidfd < 0)
		return fail_at(failure, errno, "runtime create", "its process is gone");
	if (container->removing) {
		kernel_pidfd_send_signal(container->pidfd, SIGKILL);
		return 0;
	}
	tell_keep(container);
	reply_created(container);
	return 0;
}

static void on_created(struct container *container, uint32_t exit_code)
{
	struct oci *oci = container->oci;
	struct failure failure = {0};
	int terminal_fd = oci_console_finish(&oci->call.console);
	oci->step = OCI_CREATED;
	if (terminal_fd >= 0 && (container->removing || stream_open(&container->out, terminal_fd, "stdout", &container->log) != 0))
		close(terminal_fd);
	if (exit_code == 0 && !oci->call.timed_out && take_over(container, &failure) == 0)
		return;
	/* The set-up's own failure has been dealt with: read_control(). */
	if (container->removing) {
		reply_error(container->asker, ECHILD, "create");
		container->asker.connection = 0;
		return;
	}
	oci_explain(oci, &oci->call, "create", oci->program, &failure);
	if (strcmp(failure.stage, "exec") == 0) {
		oci->doomed = true;
		oci->start_failure = failure;
		container->reaped = true;
		reply_created(container);
		return;
	}
	struct asker asker = container->asker;
	undo_create(container, asker, &failure);
}

/* Words for start, delete. */
static int begin_plain(struct container *container, const char *const *words, uint32_t timeout_ms)
{
	struct failure failure = {0};
	struct oci_set_up_job job = {.oci = container->oci, .init.control_fd = -1};
	struct oci_start start = {.oci = container->oci, .words = words, .stdio = {-1, -1, -1}, .set_up = oci_set_up_plain, .job = &job};
	name_call(container->oci, words[0]);
	return oci_call_begin(&container->oci->call, &start, timeout_ms, &failure) == 0 ? 0 : failure.error;
}

static void fail_start(struct container *container, const struct failure *failure)
{
	struct asker asker = container->asker;
	container->asker.connection = 0;
	reply_failure(asker, failure);
	if (!container->reaped)
		kernel_pidfd_send_signal(container->pidfd, SIGKILL);
	else if (container->phase == PHASE_CREATED)
		/* As a shell has it. */
		container_exited(container, failure->error == ENOENT ? 127 : 126);
}

void oci_start(struct container *container, struct asker asker)
{
	struct oci *oci = container->oci;
	const char *const words[] = {"start", container->id, NULL};
	container->released = true;
	container->asker = asker;
	if (oci->doomed) {
		fail_start(container, &oci->start_failure);
		return;
	}
	oci->start_asked_ns = realtime_ns();
	oci->step = OCI_STARTING;
	int error = begin_plain(container, words, oci->timeout_ms);
	if (error == 0)
		return;
	struct failure failure = {0};
	fail(&failure, error, "start");
	fail_start(container, &failure);
}

static void on_started(struct container *container, uint32_t exit_code)
{
	struct oci *oci = container->oci;
	struct failure failure = {0};
	oci->step = OCI_STARTED;
	if (container->removing) {
		reply_error(container->asker, ESRCH, "start");
		container->asker.connection = 0;
		return;
	}
	if (exit_code != 0 || oci->call.timed_out) {
		oci_explain(oci, &oci->call, "start", oci->program, &failure);
		fail_start(container, &failure);
		return;
	}
	struct asker asker = container->asker;
	container->asker.connection = 0;
	/* It may have ended before the binary did. */
	if (container->phase != PHASE_EXITED) {
		container->phase = PHASE_RUNNING;
		container->started_at_ns = realtime_ns();
	}
	struct writer *writer = begin_reply(asker);
	if (writer == NULL)
		return;
	write_u64(writer, TAG_STARTED_AT_NS, container->started_at_ns);
	send_reply(asker, writer);
}

static void on_call_ended(struct oci_call *call, uint32_t exit_code)
{
	struct oci *oci = (struct oci *)(void *)((char *)call - offsetof(struct oci, call));
	struct container *container = oci->container;
	switch (oci->step) {
	case OCI_CREATING:
		/* What the set-up said is still in the socket when the binary was quick. */
		read_control(container);
		on_created(container, exit_code);
		return;
	case OCI_STARTING:
		on_started(container, exit_code);
		return;
	default:
		/* Whatever delete failed at, what it is to remove is removed by us. */
		oci->step = OCI_DELETED;
	}
}

bool oci_end_doomed(struct container *container)
{
	if (!container->oci->doomed || container->phase != PHASE_CREATED)
		return false;
	container_exited(container, 128 + SIGKILL);
	return true;
}

void oci_begin_removal(struct container *container)
{
	oci_call_kill(&container->oci->call);
}

bool oci_go_on_removing(struct container *container)
{
	struct oci *oci = container->oci;
	const char *const words[] = {"delete", "--force", container->id, NULL};
	char state[MAX_ID_BYTES + 8];
	struct text text = text_over(state, sizeof state);
	text_add(&text, "state/");
	text_add(&text, container->id);
	if (oci->call.pid > 0 || !container->reaped)
		return false;
	bool known = oci->directory_fd >= 0 && faccessat(oci->directory_fd, state, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (known && oci->step < OCI_DELETING && begin_plain(container, words, DELETE_TIMEOUT_MS) == 0) {
		oci->step = OCI_DELETING;
		return false;
	}
	return true;
}

void oci_remove_directory(struct container *container)
{
	int fd = openat(monitor.directory_fd, "oci", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	clear_tree(fd, container->id);
	close(fd);
}
