/* EXEC: a further process in a running container. */
#include "../kernel.h"
#include "../processes.h"
#include "monitor.h"
#include "oci.h"

#include <stdlib.h>
#include <sys/socket.h>

struct exec *find_exec(struct span id)
{
	struct exec *exec = monitor.execs;
	while (exec != NULL && !span_is(id, exec->id))
		exec = exec->next;
	return exec;
}

static void hang_up(struct exec *exec)
{
	if (exec->terminal_fd >= 0)
		close(exec->terminal_fd);
	exec->terminal_fd = -1;
}

void free_exec(struct exec *exec)
{
	struct exec **link = &monitor.execs;
	while (*link != NULL && *link != exec)
		link = &(*link)->next;
	if (*link == exec)
		*link = exec->next;
	loop_close(&exec->control);
	hang_up(exec);
	oci_free_exec(exec->oci);
	free(exec);
}

static struct exec *new_exec(struct asker asker, struct span body)
{
	struct exec *exec = calloc(1, sizeof *exec);
	if (exec == NULL)
		return NULL;
	span_to_string(get_span_or_empty(body, TAG_EXEC_ID), exec->id, sizeof exec->id);
	span_to_string(get_span_or_empty(body, TAG_CONTAINER_ID), exec->container_id, sizeof exec->container_id);
	exec->asker = asker;
	exec->control.fd = exec->terminal_fd = -1;
	exec->next = monitor.execs;
	monitor.execs = exec;
	return exec;
}

static int fd_of(struct message *message, uint16_t tag)
{
	struct span value;
	return get_span(message->body, tag, &value) ? message->fds[to_u32(value)] : -1;
}

_Noreturn static void run_child(struct message *message, int control_fd, const struct container *container, const char *joined_cgroup)
{
	struct init_job job = {
		.body = message->body,
		.control_fd = control_fd,
		.stdio = {fd_of(message, TAG_STDIN_FD), fd_of(message, TAG_STDOUT_FD), fd_of(message, TAG_STDERR_FD)},
		.inside_pidfd = container->pidfd,
		.target_pid = container->pid,
		.user_namespace = monitor.user_namespace,
		.joined_cgroup = joined_cgroup,
	};
	int keep[] = {control_fd, job.inside_pidfd, job.stdio[0], job.stdio[1], job.stdio[2], job.user_namespace.fd};
	close_other_fds(keep, sizeof keep / sizeof keep[0]);
	run_exec_init(&job);
}

void answer_exec(struct exec *exec)
{
	exec->running = true;
	if (exec->terminal_fd >= 0)
		fcntl(exec->terminal_fd, F_SETFL, O_RDWR | O_NONBLOCK);
	struct writer *writer = begin_reply(exec->asker);
	if (writer == NULL) {
		hang_up(exec);
		return;
	}
	write_u32(writer, TAG_PID, (uint32_t)exec->pid);
	if (exec->terminal_fd >= 0)
		write_fd(writer, 0, exec->terminal_fd);
	send_reply(exec->asker, writer);
}

static void refuse(struct exec *exec, const struct failure *failure)
{
	loop_close(&exec->control);
	reply_failure(exec->asker, failure);
	exec->asker.connection = 0;
}

static void refuse_lost(struct exec *exec)
{
	struct failure failure = {0};
	fail(&failure, ECHILD, "init");
	refuse(exec, &failure);
}

static void on_exec_ready(struct exec *exec, pid_t pid)
{
	exec->pid = pid;
	exec->ready = true;
	if (exec->killed)
		kill_tree(pid);
}

static void on_exec_report(struct exec *exec, struct sent_report *sent)
{
	uint32_t kind = sent->report.kind;
	bool right = is_true_report(sent, exec->pid, exec->ready);
	if (right && kind == INIT_TERMINAL && !exec->ready && exec->terminal_fd < 0) {
		exec->terminal_fd = sent->fd;
		return;
	}
	if (sent->fd >= 0)
		close(sent->fd);
	if (right && kind == INIT_FAILED)
		refuse(exec, &sent->report.failure);
	else if (right && kind == INIT_READY && !exec->ready)
		on_exec_ready(exec, sent->sender);
}

static void on_control_closed(struct exec *exec)
{
	loop_close(&exec->control);
	if (!exec->ready) {
		refuse_lost(exec);
		return;
	}
	answer_exec(exec);
}

static void read_exec_control(struct exec *exec)
{
	struct sent_report sent;
	int got = 1;
	for (unsigned i = 0; i < MAX_REPORTS_AT_ONCE && exec->control.fd >= 0 && (got = receive_report(exec->control.fd, &sent)) == 1; i++)
		on_exec_report(exec, &sent);
	if (got < 0)
		on_control_closed(exec);
}

/* Frees it when nobody is left of whom an end could come. */
static void hear_exec(struct exec *exec)
{
	read_exec_control(exec);
	if (exec->control.fd < 0 && exec->pid == 0)
		free_exec(exec);
}

static void on_control(struct watch *watch, uint32_t events)
{
	(void)events;
	hear_exec(WATCH_OWNER(watch, struct exec, control));
}

void read_exec_controls(void)
{
	struct exec *next;
	for (struct exec *exec = monitor.execs; exec != NULL; exec = next) {
		next = exec->next;
		if (!exec->ready && exec->oci == NULL)
			hear_exec(exec);
	}
}

static int start_exec(struct exec *exec, const struct container *container, struct message *message, struct failure *failure)
{
	int pair[2];
	if (open_control(pair, failure) != 0)
		return -1;
	if (loop_watch(&exec->control, pair[0], EPOLLIN, on_control) != 0) {
		int error = errno;
		close(pair[0]);
		close(pair[1]);
		return fail(failure, error, "epoll");
	}
	const char *joined;
	exec->pid = cgroup_clone(0, NULL, &container->joins, &joined);
	if (exec->pid == 0)
		run_child(message, pair[1], container, joined);
	int error = errno;
	close(pair[1]);
	return exec->pid < 0 ? fail(failure, error, "clone") : 0;
}

static int check_exec(const struct container *container, struct message *message)
{
	struct span process = get_span_or_empty(message->body, TAG_PROCESS);
	bool stdio = has_tag(message->body, TAG_STDIN_FD) || has_tag(message->body, TAG_STDOUT_FD) || has_tag(message->body, TAG_STDERR_FD);
	if (container == NULL)
		return ENOENT;
	if (container->phase != PHASE_RUNNING || container->removing)
		return ESRCH;
	if (stdio && get_u32(process, TAG_TTY, 0))
		return EINVAL;
	return find_exec(get_span_or_empty(message->body, TAG_EXEC_ID)) == NULL ? 0 : EEXIST;
}

void on_exec(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
	struct failure failure = {0};
	int error = check_exec(container, message);
	if (error != 0) {
		reply_error(asker, error, "enter container");
		return;
	}
	struct exec *exec = new_exec(asker, message->body);
	if (exec == NULL) {
		reply_error(asker, ENOMEM, "enter container");
		return;
	}
	int result = container->oci != NULL ? oci_start_exec(exec, container, message, &failure) : start_exec(exec, container, message, &failure);
	if (result == 0)
		return;
	reply_failure(asker, &failure);
	free_exec(exec);
}

void on_exec_kill(struct connection *connection, struct message *message)
{
	struct exec *exec = find_exec(get_span_or_empty(message->body, TAG_EXEC_ID));
	if (exec != NULL && exec->oci != NULL) {
		oci_kill_exec(exec);
	} else if (exec != NULL) {
		struct container *container = find_container(span_of(exec->container_id));
		/* It may have gone inside, as another process, just now. */
		read_exec_control(exec);
		exec->killed = true;
		if (exec->pid > 0)
			kill_tree(exec->pid);
		/* What was orphaned on the way is the container's init's child now, but still of the exec's session. */
		if (container != NULL && exec->pid > 0)
			cgroup_kill_session(&container->joins, exec->pid);
	}
	reply_done(asker_of(connection, message));
}

void exec_exited(struct exec *exec, pid_t pid, uint32_t exit_code)
{
	/* How the exec went is still in the socket when the program was quick. */
	read_exec_control(exec);
	if (exec->pid != pid)
		return;
	/* The one that set up; who went inside in its place has not told yet, and has the socket. */
	if (!exec->ready && exec->control.fd >= 0) {
		exec->pid = 0;
		return;
	}
	/* The process is dead and has told of no failure, whoever else holds the socket open still. */
	if (exec->control.fd >= 0)
		on_control_closed(exec);
	struct connection *connection = exec->running ? find_connection(exec->asker.connection) : NULL;
	if (connection != NULL) {
		struct writer *writer = write_message(MESSAGE_EVENT_EXEC_EXITED, 0, HEADER_FLAG_EVENT);
		write_string(writer, TAG_EXEC_ID, exec->id);
		write_string(writer, TAG_CONTAINER_ID, exec->container_id);
		write_u32(writer, TAG_EXIT_CODE, exit_code);
		send_message(connection, writer);
	}
	free_exec(exec);
}

void end_lost_execs(const char *container_id)
{
	struct exec *next;
	for (struct exec *exec = monitor.execs; exec != NULL; exec = next) {
		next = exec->next;
		if (exec->pid != 0 || exec->oci != NULL || !span_is(span_of(container_id), exec->container_id))
			continue;
		refuse_lost(exec);
		free_exec(exec);
	}
}

void hang_up_execs(uint32_t connection)
{
	for (struct exec *exec = monitor.execs; exec != NULL; exec = exec->next)
		if (exec->asker.connection == connection)
			hang_up(exec);
}
