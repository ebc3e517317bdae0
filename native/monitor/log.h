/* CRI logs: lines of a container's stdout and stderr with time, stream and tag, written to its log file. */
#ifndef BERTH_LOG_H
#define BERTH_LOG_H

#include "../loop.h"
#include "../text.h"

struct log_file {
	int dir_fd;
	int fd;
	char name[256];
	uint32_t max_line_bytes;
	/* Bytes of output that the log did not take (a full disk). */
	uint64_t dropped_bytes;
	/* The file ends within a line, as it did not take the rest. */
	bool torn;
};

/* The write end of a pipe, non-blocking, that gets what a stream brings: an attached client's. */
struct tap {
	struct tap *next;
	/* -1: closed, by us at the stream's end or as nobody reads it any more. */
	int fd;
	/* What the pipe had no room for. */
	uint64_t skipped_bytes;
};

/* One pipe or terminal that is pumped. */
struct stream {
	struct watch watch;
	/* "stdout" or "stderr" */
	const char *name;
	struct log_file *log;
	/* The start of a line whose end has not come yet. */
	uint8_t *pending;
	uint32_t pending_length;
	struct tap *taps;
};

/* Opens <name> in dir_fd for appending, made when missing (0640); 0 or an errno. */
int log_open(struct log_file *log);
void log_close(struct log_file *log);
/* Watches `fd`, which the stream owns from then on. */
int stream_open(struct stream *stream, int fd, const char *name, struct log_file *log);
/* `tap` gets what comes from now on, as it is; takes `fd` over. A stream that has ended closes it at once. */
void tap_open(struct tap *tap, struct stream *stream, int fd);
/* Closes it and takes it out of the stream. Idempotent. */
void tap_close(struct tap *tap, struct stream *stream);
/* What the pipe has no room for is skipped: a client that reads slowly or not at all holds up neither the program nor its log. */
void tap_write(struct tap *tap, const uint8_t *bytes, size_t length);
/* Closes its pipe. Idempotent. */
void tap_end(struct tap *tap);
/* Reads what is there now, writes it, and closes, the taps' pipes too: a last line without a newline becomes a fragment, which readers show as it was. */
void stream_finish(struct stream *stream);
/* Gives back the memory that long reads took; by the tick, which a long read asks for. */
void log_rest(void);

#endif
