/*
 * Containers whose processes another keeper holds (a shim of containerd's protocol, which has them in a virtual machine, say): here they
 * have their log and their end. The daemon, which waits for the keeper's word, passes it on.
 */
#include "../kernel.h"
#include "../exit-record.h"
#include "../init/steps.h"
#include "../processes.h"
#include "monitor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What the keeper copied last may come after its word that the process has ended. */
enum { DRAIN_MS = 2000, RETRY_MS = 5 };

static int take_fd(struct message *message, uint16_t tag)
{
	struct span index;
	if (!get_span(message->body, tag, &index))
		return -1;
	int fd = message->fds[to_u32(index)];
	message->fds[to_u32(index)] = -1;
	return fd;
}

static int open_stream(struct container *container, struct stream *stream, int fd, struct failure *failure)
{
	if (fd < 0)
		return 0;
	if (stream_open(stream, fd, stream == &container->out ? "stdout" : "stderr", &container->log) == 0)
		return 0;
	close(fd);
	return fail(failure, errno, "epoll");
}

static int open_files(struct container *container, struct message *message, struct failure *failure)
{
	struct span cgroup = get_span_or_empty(message->body, TAG_CGROUP);
	if (!own_joins(cgroup, &container->joins))
		return fail(failure, ENOMEM, "create");
	if (open_log(container, message, failure) != 0 || cgroup_apply(cgroup, &container->made, failure) != 0)
		return -1;
	if (open_stream(container, &container->out, take_fd(message, TAG_STDOUT_FD), failure) != 0 ||
	    open_stream(container, &container->err, take_fd(message, TAG_STDERR_FD), failure) != 0)
		return -1;
	container->stdin_fd = take_fd(message, TAG_STDIN_FD);
	return 0;
}

static int keep_work_dir(struct container *container, struct span body)
{
	char path[4096];
	if (!span_to_string(get_span_or_empty(get_span_or_empty(body, TAG_ROOTFS), TAG_WORK_DIR), path, sizeof path))
		return -1;
	container->work_dir = strdup(path);
	return container->work_dir == NULL ? -1 : 0;
}

/* The container's root is mounted in a mount namespace of the child's alone, and only as long as it lives. */
static int begin_look_up(struct container *container, struct message *message, struct failure *failure)
{
	int pair[2];
	if (keep_work_dir(container, message->body) != 0)
		return fail(failure, ENOMEM, "create");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, errno, "socketpair");
	container->look_up_fd = pair[0];
	pid_t pid = kernel_clone(0, &container->pidfd);
	if (pid == 0) {
		struct init_job job = {.body = message->body, .control_fd = pair[1], .inside_pidfd = -1, .user_namespace = {.fd = -1}};
		close_other_fds(&pair[1], 1);
		run_user_look_up(&job);
	}
	int error = errno;
	close(pair[1]);
	if (pid < 0)
		return fail(failure, error, "clone");
	container->pid = pid;
	container->reaped = false;
	return 0;
}

void on_create_foreign(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct failure failure = {0};
	bool look_up = has_tag(message->body, TAG_ROOTFS);
	if (monitor.destroying || find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID)) != NULL) {
		reply_error(asker, monitor.destroying ? ESHUTDOWN : EEXIST, "create");
		return;
	}
	struct container *container = new_container(message->body);
	if (container == NULL) {
		reply_error(asker, ENOMEM, "create");
		return;
	}
	container->foreign = true;
	/* Nothing of ours to be waited for, unless a child looks the user up. */
	container->reaped = true;
	container->ready = !look_up;
	if (open_files(container, message, &failure) != 0 || (look_up && begin_look_up(container, message, &failure) != 0)) {
		cgroup_remove(&container->made, false);
		free_container(container);
		reply_failure(asker, &failure);
	} else if (look_up) {
		container->asker = asker;
	} else {
		reply_done(asker);
	}
}

static void answer_look_up(struct container *container, const struct init_report *report)
{
	struct asker asker = container->asker;
	container->asker.connection = 0;
	struct writer *writer = begin_reply(asker);
	if (writer == NULL)
		return;
	write_u32(writer, TAG_UID, report->uid);
	write_u32(writer, TAG_GID, report->gid);
	for (uint32_t i = 0; i < report->gid_count && i < MAX_GIDS; i++)
		write_u32(writer, TAG_SUPPLEMENTAL_GID, report->gids[i]);
	send_reply(asker, writer);
}

void foreign_looked_up(struct container *container)
{
	static struct sent_report sent;
	container->pid = 0;
	container->reaped = true;
	close(container->pidfd);
	container->pidfd = -1;
	/* The keeper mounts the same directories. */
	forget_volatile(span_of(container->work_dir));
	if (container->removing)
		return;
	int got = receive_report(container->look_up_fd, &sent);
	if (got == 1 && sent.fd >= 0)
		close(sent.fd);
	if (got == 1 && sent.report.kind == INIT_READY) {
		container->ready = true;
		answer_look_up(container, &sent.report);
		return;
	}
	struct failure failure = {0};
	fail(&failure, ECHILD, "look up user");
	struct asker asker = container->asker;
	container->asker.connection = 0;
	cgroup_remove(&container->made, false);
	free_container(container);
	reply_failure(asker, got == 1 ? &sent.report.failure : &failure);
}

void free_foreign(struct container *container)
{
	/* Removed before it was made. */
	if (container->foreign && container->asker.connection != 0)
		reply_error(container->asker, ESHUTDOWN, "create");
	if (container->look_up_fd >= 0)
		close(container->look_up_fd);
	free(container->work_dir);
}

/* NULL after an error was told. */
static struct container *foreign_of(struct asker asker, struct message *message, const char *stage)
{
	struct container *container = find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
	if (container != NULL && container->foreign)
		return container;
	reply_error(asker, container == NULL ? ENOENT : EINVAL, stage);
	return NULL;
}

void on_foreign_started(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = foreign_of(asker, message, "start");
	if (container == NULL)
		return;
	container->pid = (pid_t)get_u32(message->body, TAG_PID, 0);
	container->started_at_ns = get_u64(message->body, TAG_STARTED_AT_NS, 0);
	if (container->phase == PHASE_CREATED)
		container->phase = PHASE_RUNNING;
	reply_done(asker);
}

void on_foreign_exited(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = foreign_of(asker, message, "exit");
	if (container == NULL)
		return;
	/* The first word stays. */
	if (container->phase != PHASE_EXITED && container->drain_until_ms == 0) {
		container->exit_code = get_u32(message->body, TAG_EXIT_CODE, 0);
		container->finished_at_ns = get_u64(message->body, TAG_FINISHED_AT_NS, 0);
		container->oom_killed = get_u32(message->body, TAG_OOM_KILLED, 0) != 0;
		container->drain_until_ms = monotonic_ms() + DRAIN_MS;
	}
	reply_done(asker);
	go_on();
}

void go_on_draining(struct container *container)
{
	if (container->drain_until_ms == 0 || container->removing)
		return;
	bool open = container->out.watch.fd >= 0 || container->err.watch.fd >= 0;
	if (open && monotonic_ms() < container->drain_until_ms) {
		loop_tick_in(RETRY_MS);
		return;
	}
	container->drain_until_ms = 0;
	stream_finish(&container->out);
	stream_finish(&container->err);
	container->phase = PHASE_EXITED;
	container->oom_killed = container->oom_killed || cgroup_oom_killed(&container->joins);
	tell_exited(container);
	end_attachments(container);
}
