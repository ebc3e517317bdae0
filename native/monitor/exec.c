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

_Noreturn static void run_child(struct message *message, int control_fd, int target_pidfd, pid_t target_pid)
{
	struct init_job job = {
		.body = message->body,
		.control_fd = control_fd,
		.stdio = {fd_of(message, TAG_STDIN_FD), fd_of(message, TAG_STDOUT_FD), fd_of(message, TAG_STDERR_FD)},
		.target_pidfd = target_pidfd,
		.user_namespace = monitor.user_namespace,
	};
	job.target_pid = target_pid;
	int keep[] = {control_fd, target_pidfd, job.stdio[0], job.stdio[1], job.stdio[2], job.user_namespace.fd};
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

static void read_exec_control(struct exec *exec)
{
	struct init_report report;
	int got = 1;
	while (exec->control.fd >= 0 && (got = receive_report(exec->control.fd, &report, &exec->terminal_fd)) == 1) {
		if (report.kind != INIT_READY) {
			refuse(exec, &report.failure);
			return;
		}
		exec->ready = true;
	}
	if (got >= 0)
		return;
	loop_close(&exec->control);
	if (exec->ready) {
		answer_exec(exec);
		return;
	}
	struct failure failure = {0};
	fail(&failure, ECHILD, "init");
	refuse(exec, &failure);
}

static void on_control(struct watch *watch, uint32_t events)
{
	(void)events;
	read_exec_control(WATCH_OWNER(watch, struct exec, control));
}

static int start_exec(struct exec *exec, const struct container *container, struct message *message, struct failure *failure)
{
	int pair[2];
	int pidfd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, errno, "socketpair");
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	if (loop_watch(&exec->control, pair[0], EPOLLIN, on_control) != 0) {
		int error = errno;
		close(pair[0]);
		close(pair[1]);
		return fail(failure, error, "epoll");
	}
	exec->pid = clone_into(PID_NAMESPACE_TARGET, container->pidfd, &pidfd, failure);
	if (exec->pid == 0)
		run_child(message, pair[1], container->pidfd, container->pid);
	close(pair[1]);
	if (pidfd >= 0)
		close(pidfd);
	return exec->pid < 0 ? -1 : 0;
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
		kill_tree(exec->pid);
		/* What was orphaned on the way is the container's init's child now, but still of the exec's session. */
		if (container != NULL)
			cgroup_kill_session(&container->joins, exec->pid);
	}
	reply_done(asker_of(connection, message));
}

void exec_exited(struct exec *exec, uint32_t exit_code)
{
	/* How the exec went is still in the socket when the program was quick. */
	read_exec_control(exec);
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

void hang_up_execs(uint32_t connection)
{
	for (struct exec *exec = monitor.execs; exec != NULL; exec = exec->next)
		if (exec->asker.connection == connection)
			hang_up(exec);
}
