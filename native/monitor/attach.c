/* ATTACH, DETACH, CLOSE_STDIN: clients at a running container's streams. */
#include "../kernel.h"
#include "monitor.h"

#include <stdlib.h>

/* Each holds up to two descriptors and 2 MiB of pipes. */
enum { MAX_ATTACHMENTS = 256 };

static struct attachment *find_attachment(struct span id)
{
	struct attachment *attachment = monitor.attachments;
	while (attachment != NULL && !span_is(id, attachment->id))
		attachment = attachment->next;
	return attachment;
}

static int check_attach(const struct container *container, struct span body)
{
	unsigned count = 0;
	if (container == NULL || !container->ready || container->removing)
		return ENOENT;
	if (container->phase == PHASE_EXITED)
		return ESRCH;
	for (const struct attachment *attachment = monitor.attachments; attachment != NULL; attachment = attachment->next)
		count++;
	if (count >= MAX_ATTACHMENTS)
		return EBUSY;
	return find_attachment(get_span_or_empty(body, TAG_ATTACH_ID)) == NULL ? 0 : EEXIST;
}

static void open_tap(struct tap *tap, struct stream *stream, struct message *message, uint16_t tag)
{
	struct span index;
	tap->watch.fd = -1;
	if (!get_span(message->body, tag, &index))
		return;
	tap_open(tap, stream, message->fds[to_u32(index)]);
	message->fds[to_u32(index)] = -1;
}

/* The one end by which bytes get in; -1: there is none. */
static int input_of(const struct container *container)
{
	if (!container->terminal)
		return container->stdin_fd;
	return container->with_stdin ? container->out.watch.fd : -1;
}

static void close_stdin(struct container *container)
{
	if (container->stdin_fd >= 0)
		close(container->stdin_fd);
	container->stdin_fd = -1;
}

static void free_attachment(struct attachment *attachment)
{
	struct attachment **link = &monitor.attachments;
	while (*link != attachment)
		link = &(*link)->next;
	*link = attachment->next;
	tap_close(&attachment->out);
	tap_close(&attachment->err);
	if (attachment->closes_stdin)
		close_stdin(attachment->container);
	free(attachment);
}

static void tell_ended(const struct attachment *attachment)
{
	struct connection *connection = find_connection(attachment->connection);
	if (connection == NULL)
		return;
	struct writer *writer = write_message(MESSAGE_EVENT_ATTACH_ENDED, 0, HEADER_FLAG_EVENT);
	write_string(writer, TAG_ATTACH_ID, attachment->id);
	write_u64(writer, TAG_SKIPPED_BYTES, tap_skipped_bytes(&attachment->out) + tap_skipped_bytes(&attachment->err));
	send_message(connection, writer);
}

/* Tells the end once its pipes are closed. */
static void settle(struct attachment *attachment)
{
	if (!attachment->ending || attachment->out.watch.fd >= 0 || attachment->err.watch.fd >= 0)
		return;
	tell_ended(attachment);
	free_attachment(attachment);
}

static void on_out_done(struct tap *tap)
{
	settle(WATCH_OWNER(tap, struct attachment, out));
}

static void on_err_done(struct tap *tap)
{
	settle(WATCH_OWNER(tap, struct attachment, err));
}

void on_attach(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
	int error = check_attach(container, message->body);
	struct attachment *attachment = error == 0 ? calloc(1, sizeof *attachment) : NULL;
	if (attachment == NULL) {
		reply_error(asker, error != 0 ? error : ENOMEM, "attach");
		return;
	}
	bool with_stdin = get_u32(message->body, TAG_WITH_STDIN, 0) != 0;
	span_to_string(get_span_or_empty(message->body, TAG_ATTACH_ID), attachment->id, sizeof attachment->id);
	attachment->connection = connection->number;
	attachment->container = container;
	attachment->closes_stdin = with_stdin && get_u32(message->body, TAG_STDIN_ONCE, 0) != 0;
	open_tap(&attachment->out, &container->out, message, TAG_STDOUT_FD);
	open_tap(&attachment->err, &container->err, message, TAG_STDERR_FD);
	attachment->out.done = on_out_done;
	attachment->err.done = on_err_done;
	attachment->next = monitor.attachments;
	monitor.attachments = attachment;
	struct writer *writer = begin_reply(asker);
	if (container->terminal)
		write_u32(writer, TAG_TTY, 1);
	int input_fd = with_stdin ? input_of(container) : -1;
	if (input_fd >= 0) {
		/* Whoever writes to it is not to be held up by a program that does not read. */
		fcntl(input_fd, F_SETFL, fcntl(input_fd, F_GETFL) | O_NONBLOCK);
		write_fd(writer, 0, input_fd);
	}
	send_reply(asker, writer);
}

void on_detach(struct connection *connection, struct message *message)
{
	struct attachment *attachment = find_attachment(get_span_or_empty(message->body, TAG_ATTACH_ID));
	if (attachment != NULL)
		free_attachment(attachment);
	reply_done(asker_of(connection, message));
}

void on_close_stdin(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
	if (container == NULL) {
		reply_error(asker, ENOENT, "close stdin");
		return;
	}
	close_stdin(container);
	reply_done(asker);
}

void detach_connection(uint32_t connection)
{
	struct attachment *next;
	for (struct attachment *attachment = monitor.attachments; attachment != NULL; attachment = next) {
		next = attachment->next;
		if (attachment->connection == connection)
			free_attachment(attachment);
	}
}

static void each_of(const struct container *container, void (*end)(struct attachment *))
{
	struct attachment *next;
	for (struct attachment *attachment = monitor.attachments; attachment != NULL; attachment = next) {
		next = attachment->next;
		if (attachment->container == container)
			end(attachment);
	}
}

static void begin_end(struct attachment *attachment)
{
	attachment->ending = true;
	settle(attachment);
}

static void drop(struct attachment *attachment)
{
	tell_ended(attachment);
	free_attachment(attachment);
}

void end_attachments(const struct container *container)
{
	each_of(container, begin_end);
}

void drop_attachments(const struct container *container)
{
	each_of(container, drop);
}
