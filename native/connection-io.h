/* The packets below connection.c. */
#ifndef BERTH_CONNECTION_IO_H
#define BERTH_CONNECTION_IO_H

#include "connection.h"

/* 0; EAGAIN; ENOTCONN: the peer is gone; EBADMSG or EMSGSIZE: malformed, only the header's fields may be used. Release in every case. */
int receive_message(int fd, struct message *message);
void release_message(struct message *message);
/* For a child that goes on without the message: its bytes are in this process no more. The fds stay. */
void forget_message(void);
void flush_queue(struct connection *connection);
void drop_queue(struct connection *connection);

#endif
