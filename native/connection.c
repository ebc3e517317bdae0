#include "kernel.h"
#include "connection.h"
#include "connection-io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct endpoint *endpoint;
static struct connection *connections;
static uint32_t last_number;

void connections_begin(const struct endpoint *ours)
{
	endpoint = ours;
	connections = NULL;
	last_number = 0;
}

struct connection *find_connection(uint32_t number)
{
	struct connection *connection = connections;
	while (connection != NULL && connection->number != number)
		connection = connection->next;
	return connection;
}

void end_connection(struct connection *connection)
{
	/* The loop sees the hang-up and frees it; freeing here would pull it away from under a caller. */
	shutdown(connection->watch.fd, SHUT_RDWR);
}

static void free_connection(struct connection *connection)
{
	struct connection **link = &connections;
	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	if (endpoint->on_close != NULL)
		endpoint->on_close(connection);
	loop_close(&connection->watch);
	drop_queue(connection);
	free(connection);
}

struct asker asker_of(const struct connection *connection, const struct message *message)
{
	return (struct asker){connection->number, message->header.request_id, message->header.type};
}

struct writer *begin_reply(struct asker asker)
{
	if (find_connection(asker.connection) == NULL)
		return NULL;
	return write_message(asker.type, asker.request_id, HEADER_FLAG_REPLY);
}

void send_reply(struct asker asker, struct writer *writer)
{
	struct connection *connection = find_connection(asker.connection);
	if (connection != NULL)
		send_message(connection, writer);
}

void reply_done(struct asker asker)
{
	struct writer *writer = begin_reply(asker);
	if (writer != NULL)
		send_reply(asker, writer);
}

void reply_failure(struct asker asker, const struct failure *failure)
{
	struct writer *writer = begin_reply(asker);
	if (writer == NULL)
		return;
	writer->header.status = failure->error;
	write_string(writer, TAG_ERROR_STAGE, failure->stage);
	if (failure->path[0] != 0)
		write_string(writer, TAG_ERROR_PATH, failure->path);
	send_reply(asker, writer);
}

void reply_error(struct asker asker, int error, const char *stage)
{
	struct failure failure = {0};
	fail(&failure, error, stage);
	reply_failure(asker, &failure);
}

void send_event(struct writer *writer)
{
	for (struct connection *connection = connections; connection != NULL; connection = connection->next)
		if (connection->said_hello && connection->role == ROLE_DAEMON)
			send_message(connection, writer);
}

static void refuse_message(struct asker asker, const struct refusal *refusal)
{
	struct writer *writer = begin_reply(asker);
	if (writer == NULL)
		return;
	writer->header.status = refusal->error;
	write_string(writer, TAG_ERROR_STAGE, "parse message");
	write_u32(writer, TAG_ERROR_TAG, refusal->tag);
	send_reply(asker, writer);
}

static void write_hello(struct writer *writer)
{
	write_u32(writer, TAG_MIN_VERSION, PROTOCOL_MIN_VERSION);
	write_u32(writer, TAG_ROLE, endpoint->role);
	write_u32(writer, TAG_PID, (uint32_t)getpid());
	if (endpoint->sandbox_id != NULL)
		write_string(writer, TAG_SANDBOX_ID, endpoint->sandbox_id);
}

void greet(struct connection *connection)
{
	struct writer *writer = write_message(MESSAGE_HELLO, 1, 0);
	write_hello(writer);
	connection->is_client = true;
	connection->version = PROTOCOL_VERSION;
	send_message(connection, writer);
}

static void on_hello(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	uint16_t theirs = message->header.version;
	uint16_t agreed = theirs < PROTOCOL_VERSION ? theirs : PROTOCOL_VERSION;
	if (agreed < PROTOCOL_MIN_VERSION || agreed < get_u32(message->body, TAG_MIN_VERSION, 0)) {
		reply_error(asker, EPROTONOSUPPORT, "hello");
		return;
	}
	connection->version = agreed;
	connection->role = get_u32(message->body, TAG_ROLE, 0);
	connection->said_hello = true;
	struct writer *writer = begin_reply(asker);
	write_hello(writer);
	send_reply(asker, writer);
}

/* A reply has no schema of its own here: as a client we read only HELLO's and pass the others on. */
static void on_reply(struct connection *connection, struct message *message)
{
	if (message->header.type == MESSAGE_HELLO && connection->is_client && message->header.status == 0) {
		connection->said_hello = true;
		connection->role = get_u32(message->body, TAG_ROLE, 0);
		connection->version = message->header.version;
	}
	endpoint->on_message(connection, message);
}

static void dispatch(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	if (message->header.flags & HEADER_FLAG_REPLY) {
		on_reply(connection, message);
		return;
	}
	const struct schema *schema = find_schema(message->header.type);
	struct refusal refusal = {0};
	if (schema == NULL) {
		reply_error(asker, ENOSYS, "parse message");
		return;
	}
	if (check_message(schema, message->body, message->fd_count, &refusal) != 0) {
		refuse_message(asker, &refusal);
		return;
	}
	if (message->header.type == MESSAGE_HELLO)
		on_hello(connection, message);
	else if (!connection->said_hello)
		reply_error(asker, EPROTO, "hello");
	else
		endpoint->on_message(connection, message);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct connection *connection = WATCH_OWNER(watch, struct connection, watch);
	if (events & EPOLLOUT)
		flush_queue(connection);
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return;
	struct message message;
	int error = receive_message(watch->fd, &message);
	if (error == EAGAIN)
		return;
	if (error == 0)
		dispatch(connection, &message);
	else if (error == EBADMSG || error == EMSGSIZE)
		reply_error(asker_of(connection, &message), error, "parse message");
	release_message(&message);
	if (error == ENOTCONN)
		free_connection(connection);
}

struct connection *add_connection(int fd)
{
	struct connection *connection = calloc(1, sizeof *connection);
	if (connection == NULL || loop_watch(&connection->watch, fd, EPOLLIN, on_ready) != 0) {
		free(connection);
		return NULL;
	}
	connection->number = ++last_number;
	connection->version = PROTOCOL_VERSION;
	connection->next = connections;
	connections = connection;
	return connection;
}
