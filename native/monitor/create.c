/* CREATE_CONTAINER and START. */
#include "../kernel.h"
#include "monitor.h"
#include "oci.h"
#include "../processes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct ends {
	/* Ours and the child's end of: control, stdin, stdout, stderr. */
	int ours[4];
	int theirs[4];
};

struct container *find_container(struct span id)
{
	struct container *container = monitor.containers;
	while (container != NULL && !span_is(id, container->id))
		container = container->next;
	return container;
}

void free_container(struct container *container)
{
	struct container **link = &monitor.containers;
	while (*link != NULL && *link != container)
		link = &(*link)->next;
	if (*link == container)
		*link = container->next;
	free_foreign(container);
	loop_close(&container->control);
	stream_finish(&container->out);
	stream_finish(&container->err);
	end_attachments(container);
	log_close(&container->log);
	if (container->stdin_fd >= 0)
		close(container->stdin_fd);
	if (container->pidfd >= 0)
		close(container->pidfd);
	path_list_free(&container->made);
	path_list_free(&container->joins);
	oci_free(container->oci);
	free(container);
}

struct container *new_container(struct span body)
{
	struct container *container = calloc(1, sizeof *container);
	if (container == NULL)
		return NULL;
	span_to_string(get_span_or_empty(body, TAG_CONTAINER_ID), container->id, sizeof container->id);
	container->phase = PHASE_CREATED;
	container->pidfd = container->stdin_fd = container->control.fd = container->look_up_fd = -1;
	container->out.watch.fd = container->err.watch.fd = -1;
	container->log.fd = container->log.dir_fd = -1;
	container->terminal = get_u32(get_span_or_empty(body, TAG_PROCESS), TAG_TTY, 0) != 0;
	container->with_stdin = get_u32(body, TAG_STDIN, STDIN_NULL) == STDIN_PIPE;
	container->own_pid_namespace = get_u32(body, TAG_PID_NAMESPACE, PID_NAMESPACE_NEW) == PID_NAMESPACE_NEW;
	container->next = monitor.containers;
	monitor.containers = container;
	return container;
}

int open_log(struct container *container, struct message *message, struct failure *failure)
{
	struct span log;
	if (!get_span(message->body, TAG_LOG, &log))
		return 0;
	uint32_t index = get_u32(log, TAG_LOG_DIR_FD, 0);
	container->log.dir_fd = message->fds[index];
	message->fds[index] = -1;
	container->log.max_line_bytes = get_u32(log, TAG_MAX_LINE_BYTES, 0);
	span_to_string(get_span_or_empty(log, TAG_NAME), container->log.name, sizeof container->log.name);
	int error = log_open(&container->log);
	return error == 0 ? 0 : fail_at(failure, error, "open log", container->log.name);
}

static void close_ends(int *ends)
{
	for (unsigned i = 0; i < 4; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

/* Pipes are made whether the log is wanted or not: a program must not die of writing. */
static int open_ends(struct ends *ends, bool terminal, bool stdin_pipe, struct failure *failure)
{
	int pair[2];
	for (unsigned i = 0; i < 4; i++)
		ends->ours[i] = ends->theirs[i] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, errno, "socketpair");
	ends->ours[0] = pair[0];
	ends->theirs[0] = pair[1];
	for (unsigned i = 1; i < 4 && !terminal; i++) {
		if (i == 1 && !stdin_pipe)
			continue;
		if (pipe2(pair, O_CLOEXEC) != 0)
			return fail(failure, errno, "pipe");
		ends->ours[i] = i == 1 ? pair[1] : pair[0];
		ends->theirs[i] = i == 1 ? pair[0] : pair[1];
	}
	return 0;
}

_Noreturn static void run_child(struct message *message, const struct ends *ends)
{
	int keep[MAX_FDS + 5];
	unsigned count = 0;
	for (uint32_t i = 0; i < message->fd_count; i++)
		keep[count++] = message->fds[i];
	for (unsigned i = 0; i < 4; i++)
		keep[count++] = ends->theirs[i];
	keep[count++] = monitor.user_namespace.fd;
	/* Nothing of the monitor may stay open in a container's first process: not even while it is parked. */
	close_other_fds(keep, count);
	struct init_job job = {
		.body = message->body,
		.fds = message->fds,
		.fd_count = message->fd_count,
		.control_fd = ends->theirs[0],
		.stdio = {ends->theirs[1], ends->theirs[2], ends->theirs[3]},
		.shm_path = monitor.has_shm ? monitor.shm_path : NULL,
		.target_pidfd = -1,
		.user_namespace = monitor.user_namespace,
	};
	run_container_init(&job);
}

static void on_control(struct watch *watch, uint32_t events)
{
	(void)events;
	read_control(WATCH_OWNER(watch, struct container, control));
}

static int watch_ends(struct container *container, struct ends *ends, struct failure *failure)
{
	fcntl(ends->ours[0], F_SETFL, O_NONBLOCK);
	if (loop_watch(&container->control, ends->ours[0], EPOLLIN, on_control) != 0)
		return fail(failure, errno, "epoll");
	ends->ours[0] = -1;
	container->stdin_fd = ends->ours[1];
	ends->ours[1] = -1;
	if (ends->ours[2] >= 0 && stream_open(&container->out, ends->ours[2], "stdout", &container->log) != 0)
		return fail(failure, errno, "epoll");
	ends->ours[2] = -1;
	if (ends->ours[3] >= 0 && stream_open(&container->err, ends->ours[3], "stderr", &container->log) != 0)
		return fail(failure, errno, "epoll");
	ends->ours[3] = -1;
	return 0;
}

static int target_pidfd(struct span body, uint32_t pid_namespace, struct failure *failure)
{
	if (pid_namespace != PID_NAMESPACE_TARGET)
		return pid_namespace == PID_NAMESPACE_POD ? dup(monitor.pod_init_pidfd) : -1;
	int fd = kernel_pidfd_open((pid_t)get_u32(body, TAG_TARGET_PID, 0));
	if (fd < 0)
		fail(failure, errno, "target pid namespace");
	return fd;
}

static int clone_child(struct container *container, struct message *message, struct ends *ends, struct failure *failure)
{
	uint32_t pid_namespace = get_u32(message->body, TAG_PID_NAMESPACE, PID_NAMESPACE_NEW);
	int target = target_pidfd(message->body, pid_namespace, failure);
	pid_t pid = failure->error != 0 ? -1 : clone_into(pid_namespace, target, &container->pidfd, failure);
	if (pid == 0)
		run_child(message, ends);
	if (target >= 0)
		close(target);
	if (pid < 0)
		return -1;
	container->pid = pid;
	return 0;
}

/* A cgroup that others may be in is nothing to kill in: its own are those that the plan makes. */
static bool own_joins(struct span cgroup, struct path_list *joins)
{
	struct span rest = cgroup;
	struct span join;
	while (next_with_tag(&rest, TAG_CGROUP_JOIN, &join)) {
		struct span directories = cgroup;
		struct span directory;
		bool own = false;
		while (!own && next_with_tag(&directories, TAG_CGROUP_DIR, &directory))
			own = span_equals(directory, join);
		if (own && !path_list_add(joins, join))
			return false;
	}
	return true;
}

static int create(struct container *container, struct message *message, struct failure *failure)
{
	struct span cgroup = get_span_or_empty(message->body, TAG_CGROUP);
	struct ends ends;
	if (!own_joins(cgroup, &container->joins))
		return fail(failure, ENOMEM, "create");
	if (open_log(container, message, failure) != 0 || cgroup_apply(cgroup, &container->made, failure) != 0)
		return -1;
	if (has_tag(message->body, TAG_OCI) && oci_prepare(container, message, failure) != 0)
		return -1;
	int result = open_ends(&ends, container->terminal, container->with_stdin, failure);
	if (result == 0)
		result = map_mounts(message, failure);
	if (result == 0 && container->oci != NULL)
		result = oci_create(container, message, ends.theirs, failure);
	else if (result == 0)
		result = clone_child(container, message, &ends, failure);
	close_ends(ends.theirs);
	if (result == 0)
		result = watch_ends(container, &ends, failure);
	close_ends(ends.ours);
	return result;
}

void undo_create(struct container *container, struct asker asker, const struct failure *failure)
{
	container->failure = *failure;
	container->asker.connection = 0;
	container->remover = asker;
	begin_removal(container);
	go_on();
}

void on_create(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct failure failure = {0};
	if (monitor.destroying || find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID)) != NULL) {
		reply_error(asker, monitor.destroying ? ESHUTDOWN : EEXIST, "create");
		return;
	}
	struct container *container = new_container(message->body);
	if (container == NULL) {
		reply_error(asker, ENOMEM, "create");
		return;
	}
	if (create(container, message, &failure) != 0) {
		undo_create(container, asker, &failure);
		return;
	}
	container->asker = asker;
	tell_keep(container);
}

int receive_report(int fd, struct init_report *report, int *terminal_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {report, sizeof *report};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	struct cmsghdr *item = CMSG_FIRSTHDR(&header);
	if (item != NULL && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS && item->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(terminal_fd, CMSG_DATA(item), sizeof(int));
	return length < (ssize_t)offsetof(struct init_report, gids) ? -1 : 1;
}

static void on_init_ready(struct container *container, const struct init_report *report, int terminal_fd)
{
	if (container->oci != NULL) {
		oci_user_known(container, report);
		return;
	}
	struct writer *writer = begin_reply(container->asker);
	container->ready = true;
	if (terminal_fd >= 0 && stream_open(&container->out, terminal_fd, "stdout", &container->log) != 0)
		close(terminal_fd);
	if (writer != NULL) {
		write_u32(writer, TAG_PID, (uint32_t)container->pid);
		write_u32(writer, TAG_UID, report->uid);
		write_u32(writer, TAG_GID, report->gid);
		for (uint32_t i = 0; i < report->gid_count && i < MAX_GIDS; i++)
			write_u32(writer, TAG_SUPPLEMENTAL_GID, report->gids[i]);
		send_reply(container->asker, writer);
	}
	container->asker.connection = 0;
}

static void on_init_failed(struct container *container, const struct failure *failure)
{
	struct asker asker = container->asker;
	container->asker.connection = 0;
	loop_close(&container->control);
	if (!container->ready && !container->removing)
		undo_create(container, asker, failure);
	else if (asker.connection != 0)
		reply_failure(asker, failure);
}

static void on_control_closed(struct container *container)
{
	struct asker asker = container->asker;
	loop_close(&container->control);
	/* The binary runs: its end says more. */
	if (container->oci != NULL)
		return;
	if (!container->ready || !container->released) {
		struct failure failure = {0};
		fail(&failure, ECHILD, "init");
		on_init_failed(container, &failure);
		return;
	}
	/* Closed by the exec. */
	container->asker.connection = 0;
	container->phase = PHASE_RUNNING;
	container->started_at_ns = realtime_ns();
	struct writer *writer = begin_reply(asker);
	if (writer == NULL)
		return;
	write_u64(writer, TAG_STARTED_AT_NS, container->started_at_ns);
	send_reply(asker, writer);
}

void read_control(struct container *container)
{
	struct init_report report;
	int terminal_fd = -1;
	int got = 1;
	while (container->control.fd >= 0 && (got = receive_report(container->control.fd, &report, &terminal_fd)) == 1) {
		if (report.kind == INIT_READY) {
			on_init_ready(container, &report, terminal_fd);
			terminal_fd = -1;
		} else {
			on_init_failed(container, &report.failure);
			return;
		}
	}
	if (got < 0)
		on_control_closed(container);
}

void on_start(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
	if (container == NULL || !container->ready) {
		reply_error(asker, ENOENT, "start");
	} else if (container->phase != PHASE_CREATED || container->released || container->removing) {
		reply_error(asker, container->phase == PHASE_EXITED ? ESRCH : EALREADY, "start");
	} else if (container->oci != NULL) {
		oci_start(container, asker);
	} else if (send(container->control.fd, "s", 1, MSG_NOSIGNAL) != 1) {
		/* Killed while it was parked: its exit follows. */
		reply_error(asker, ESRCH, "start");
	} else {
		container->released = true;
		container->asker = asker;
	}
}
