/* Connections of the protocol: receiving whole messages, HELLO, replies that may come later, events; never blocks on a peer. */
#ifndef BERTH_CONNECTION_H
#define BERTH_CONNECTION_H

#include "failure.h"
#include "loop.h"
#include "protocol-write.h"

struct message {
	struct header header;
	struct span body;
	/* Closed after the handler, except those that it set to -1. */
	int *fds;
	uint32_t fd_count;
};

struct outgoing;

struct connection {
	struct watch watch;
	struct connection *next;
	/* Never reused: who answers later finds the connection by it, or not at all. */
	uint32_t number;
	uint16_t version;
	bool said_hello;
	/* We connected to it: HELLO comes as a reply. */
	bool is_client;
	uint32_t role;
	struct outgoing *queue;
	uint32_t queued_bytes;
	void *owner;
};

/* Who asked; plain data, kept until the answer is known. */
struct asker {
	uint32_t connection;
	uint32_t request_id;
	uint16_t type;
};

struct endpoint {
	uint32_t role;
	/* A monitor's; null else. */
	const char *sandbox_id;
	/* A request or event that passed its schema. */
	void (*on_message)(struct connection *connection, struct message *message);
	/* Right before it is freed. May be null. */
	void (*on_close)(struct connection *connection);
};

/* Sets who we are; forgets connections of a parent process without closing them. */
void connections_begin(const struct endpoint *endpoint);
/* Binds <directory>/<name> (0600, replacing a dead one) and listens. The path may be longer than sun_path. */
int listen_in(int directory_fd, const char *name, struct watch *listener, struct failure *failure);
/* Connects to <directory>/<name>; a fd or -1 with errno. */
int connect_in(int directory_fd, const char *name);
/* Takes over a connected socket; null without memory. */
struct connection *add_connection(int fd);
/* Says HELLO as a client. */
void greet(struct connection *connection);
struct connection *find_connection(uint32_t number);
/* No more is read or written; it is freed by the loop. */
void end_connection(struct connection *connection);

struct asker asker_of(const struct connection *connection, const struct message *message);
/* A reply under construction, or null when who asked is gone. */
struct writer *begin_reply(struct asker asker);
void send_reply(struct asker asker, struct writer *writer);
void reply_done(struct asker asker);
void reply_failure(struct asker asker, const struct failure *failure);
void reply_error(struct asker asker, int error, const char *stage);
void send_message(struct connection *connection, struct writer *writer);
/* Gives back the memory of the last messages; not from within a handler. */
void connections_rest(void);
/* Sends to every daemon that has said HELLO. */
void send_event(struct writer *writer);

#endif
