/* Building messages in one buffer that is never longer than what was written (untouched pages of it cost nothing). */
#ifndef BERTH_PROTOCOL_WRITE_H
#define BERTH_PROTOCOL_WRITE_H

#include "protocol-parse.h"

enum { WRITER_CAPACITY = 1 << 20, WRITER_MAX_FDS = 8 };

struct writer {
	struct header header;
	uint32_t length;
	bool overflow;
	int fds[WRITER_MAX_FDS];
	uint32_t fd_count;
};

/* Starts a message; only one is under construction at any time. */
struct writer *write_message(uint16_t type, uint32_t request_id, uint32_t flags);
void write_bytes(struct writer *writer, uint16_t tag, struct span value);
void write_string(struct writer *writer, uint16_t tag, const char *value);
void write_u32(struct writer *writer, uint16_t tag, uint32_t value);
void write_u64(struct writer *writer, uint16_t tag, uint64_t value);
/* Adds an fd (the caller keeps it) and its index under `tag`; tag 0: the fd only. */
void write_fd(struct writer *writer, uint16_t tag, int fd);
/* Returns what end_group() wants. */
uint32_t begin_group(struct writer *writer, uint16_t tag);
void end_group(struct writer *writer, uint32_t group);

/* Gives back the memory of the last message. */
void writer_rest(void);

/* Header and body of the message as one piece; the header's 24 bytes alone are to be sent when the body is long. */
struct span finish_message(struct writer *writer, uint16_t version);

#endif
