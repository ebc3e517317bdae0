/*
 * Containers whose processes another keeper holds (a shim of containerd's protocol, which has them in a virtual machine, say): here they
 * have their log and their end. The daemon, which waits for the keeper's word, passes it on.
 */
#include "../kernel.h"
#include "../exit-record.h"
#include "monitor.h"

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

void on_create_foreign(struct connection *connection, struct message *message)
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
	container->foreign = true;
	/* Nothing of ours to be waited for. */
	container->reaped = true;
	container->ready = true;
	if (open_log(container, message, &failure) != 0 ||
	    open_stream(container, &container->out, take_fd(message, TAG_STDOUT_FD), &failure) != 0 ||
	    open_stream(container, &container->err, take_fd(message, TAG_STDERR_FD), &failure) != 0) {
		reply_failure(asker, &failure);
		free_container(container);
		return;
	}
	container->stdin_fd = take_fd(message, TAG_STDIN_FD);
	reply_done(asker);
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
	tell_exited(container);
}
