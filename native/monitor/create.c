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
	if (open_control(pair, failure) != 0)
		return -1;
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

_Noreturn static void run_child(struct message *message, const struct ends *ends, int inside_pidfd, const char *joined_cgroup)
{
	int keep[MAX_FDS + 6];
	unsigned count = 0;
	for (uint32_t i = 0; i < message->fd_count; i++)
		keep[count++] = message->fds[i];
	for (unsigned i = 0; i < 4; i++)
		keep[count++] = ends->theirs[i];
	keep[count++] = monitor.user_namespace.fd;
	keep[count++] = inside_pidfd;
	/* Nothing of the monitor may stay open in a container's first process: not even while it is parked. */
	close_other_fds(keep, count);
	struct init_job job = {
		.body = message->body,
		.fds = message->fds,
		.fd_count = message->fd_count,
		.control_fd = ends->theirs[0],
		.stdio = {ends->theirs[1], ends->theirs[2], ends->theirs[3]},
		.shm_path = monitor.has_shm ? monitor.shm_path : NULL,
		.inside_pidfd = inside_pidfd,
		.user_namespace = monitor.user_namespace,
		.joined_cgroup = joined_cgroup,
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

/* A process of the PID namespace that the container shares with others; -1: a new one, or the node's. */
static int open_inside(struct span body, uint32_t pid_namespace, struct failure *failure)
{
	int fd = -1;
	if (pid_namespace == PID_NAMESPACE_POD)
		fd = fcntl(monitor.pod_init_pidfd, F_DUPFD_CLOEXEC, 3);
	else if (pid_namespace == PID_NAMESPACE_TARGET)
		fd = kernel_pidfd_open((pid_t)get_u32(body, TAG_TARGET_PID, 0));
	else
		return -1;
	if (fd < 0)
		fail(failure, errno, "enter pid namespace");
	return fd;
}

static int clone_child(struct container *container, struct message *message, struct ends *ends, struct failure *failure)
{
	uint32_t pid_namespace = get_u32(message->body, TAG_PID_NAMESPACE, PID_NAMESPACE_NEW);
	int inside = open_inside(message->body, pid_namespace, failure);
	if (failure->error != 0)
		return -1;
	const char *joined;
	pid_t pid = cgroup_clone(pid_namespace == PID_NAMESPACE_NEW ? CLONE_NEWPID : 0, &container->pidfd, &container->joins, &joined);
	int error = errno;
	if (pid == 0)
		run_child(message, ends, inside, joined);
	if (inside >= 0)
		close(inside);
	if (pid < 0)
		return fail(failure, error, "clone");
	container->pid = pid;
	return 0;
}

/* The cgroups are made while the init mounts the root: on v1 both take about a millisecond. It enters them when it is told that they are there. */
static int create_child(struct container *container, struct message *message, struct ends *ends, struct failure *failure)
{
	struct span cgroup = get_span_or_empty(message->body, TAG_CGROUP);
	if (cgroup_make_birthplace(cgroup, &container->made, failure) != 0 || clone_child(container, message, ends, failure) != 0 ||
	    cgroup_apply(cgroup, &container->made, failure) != 0)
		return -1;
	/* Should it be dead by now, its end says so. */
	(void)!send(ends->ours[0], "c", 1, MSG_NOSIGNAL);
	return 0;
}

/* A cgroup that others may be in is nothing to kill in: its own are those that the plan makes. */
bool own_joins(struct span cgroup, struct path_list *joins)
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
	if (open_log(container, message, failure) != 0)
		return -1;
	if (has_tag(message->body, TAG_OCI) && (cgroup_apply(cgroup, &container->made, failure) != 0 || oci_prepare(container, message, failure) != 0))
		return -1;
	int result = open_ends(&ends, container->terminal, container->with_stdin, failure);
	if (result == 0)
		result = map_mounts(message, failure);
	if (result == 0 && container->oci != NULL)
		result = oci_create(container, message, ends.theirs, failure);
	else if (result == 0)
		result = create_child(container, message, &ends, failure);
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
	/* Not now: callers still hold containers. */
	loop_tick_in(0);
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

static void on_init_lost(struct container *container)
{
	struct failure failure = {0};
	fail(&failure, ECHILD, "init");
	on_init_failed(container, &failure);
}

/* Of one that went inside; it is our child and not reaped, so the pid is its own. */
static bool take_over(struct container *container, pid_t pid)
{
	int pidfd = kernel_pidfd_open(pid);
	if (pidfd < 0)
		return false;
	close(container->pidfd);
	container->pidfd = pidfd;
	container->pid = pid;
	container->reaped = false;
	tell_keep(container);
	/* Told to end before this one was known. */
	if (container->removing)
		kernel_pidfd_send_signal(pidfd, SIGKILL);
	return true;
}

static void on_init_ready(struct container *container, const struct sent_report *sent)
{
	const struct init_report *report = &sent->report;
	if (container->oci != NULL) {
		oci_user_known(container, report);
		return;
	}
	if (sent->sender != container->pid && !take_over(container, sent->sender)) {
		on_init_lost(container);
		return;
	}
	container->ready = true;
	struct writer *writer = begin_reply(container->asker);
	if (writer != NULL) {
		write_u32(writer, TAG_PID, (uint32_t)container->pid);
		write_u32(writer, TAG_UID, report->uid);
		write_u32(writer, TAG_GID, report->gid);
		for (uint32_t i = 0; i < report->gid_count; i++)
			write_u32(writer, TAG_SUPPLEMENTAL_GID, report->gids[i]);
		send_reply(container->asker, writer);
	}
	container->asker.connection = 0;
}

static void on_control_closed(struct container *container)
{
	struct asker asker = container->asker;
	loop_close(&container->control);
	/* The binary runs: its end says more. */
	if (container->oci != NULL)
		return;
	if (!container->ready || !container->released) {
		on_init_lost(container);
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

/* True: taken. */
static bool take_terminal_of(struct container *container, int fd)
{
	return fd >= 0 && !container->ready && container->out.watch.fd < 0 && stream_open(&container->out, fd, "stdout", &container->log) == 0;
}

static void on_report(struct container *container, struct sent_report *sent)
{
	uint32_t kind = sent->report.kind;
	/* What sets up for a binary is in no container's sight, and may be reaped before it is heard. */
	bool right = container->oci != NULL || is_true_report(sent, container->pid, container->ready);
	if (right && kind == INIT_TERMINAL && take_terminal_of(container, sent->fd))
		return;
	if (sent->fd >= 0)
		close(sent->fd);
	if (right && kind == INIT_FAILED)
		on_init_failed(container, &sent->report.failure);
	else if (right && kind == INIT_READY && !container->ready)
		on_init_ready(container, sent);
}

void read_control(struct container *container)
{
	struct sent_report sent;
	int got = 1;
	for (unsigned i = 0; i < MAX_REPORTS_AT_ONCE && container->control.fd >= 0 && (got = receive_report(container->control.fd, &sent)) == 1; i++)
		on_report(container, &sent);
	if (got < 0)
		on_control_closed(container);
}

void read_controls(void)
{
	for (struct container *container = monitor.containers; container != NULL; container = container->next)
		if (!container->ready)
			read_control(container);
}

void end_control(struct container *container)
{
	read_control(container);
	if (container->control.fd >= 0)
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
