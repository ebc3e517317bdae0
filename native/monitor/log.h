/* CRI logs: lines of a container's stdout and stderr with time, stream and tag, written to its log file. */
#ifndef BERTH_LOG_H
#define BERTH_LOG_H

#include "../loop.h"
#include "../text.h"

#include <sys/types.h>

struct log_file {
	int dir_fd;
	int fd;
	char name[256];
	uint32_t max_line_bytes;
	/* Bytes of output that the log did not take (a full disk). */
	uint64_t dropped_bytes;
	/* The file ends within a line, as it did not take the rest. */
	bool torn;
	/* Counts the files, as they are opened anew, and where this one was begun. */
	uint32_t number;
	off_t began_at;
};

/* The write end of a pipe that gets what a stream brings: an attached client's. */
struct tap {
	struct tap *next;
	/* -1: closed, by us at the stream's end or as nobody reads it any more. */
	struct watch watch;
	/* NULL: it was never opened. */
	struct stream *stream;
	/* The stream's total_bytes then. */
	uint64_t began_at_bytes;
	uint64_t delivered_bytes;
	/* The pipe was full: what comes is read from the log, until that has no more. */
	bool lagging;
	/* The stream has ended: it ends when it has caught up. */
	bool finishing;
	/* While it lags: from `offset` on, without `skip` bytes of the stream, the log's file of that number has what it lacks. */
	int log_fd;
	uint32_t log_number;
	off_t offset;
	uint64_t skip;
	/* Called when it ended while it was lagging. May free it. */
	void (*done)(struct tap *tap);
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
	/* All that was ever read. */
	uint64_t total_bytes;
	struct tap *taps;
};

/* Opens <name> in dir_fd for appending, made when missing (0640); 0 or an errno. EINVAL, ENXIO: it is no regular file. Never waits. */
int log_open(struct log_file *log);
void log_close(struct log_file *log);
/* Watches `fd`, which the stream owns from then on. */
int stream_open(struct stream *stream, int fd, const char *name, struct log_file *log);
/* `tap` gets what comes from now on, as it is; takes `fd` over. A stream that has ended closes it at once. */
void tap_open(struct tap *tap, struct stream *stream, int fd);
/* Closes it and takes it out of its stream. Idempotent. */
void tap_close(struct tap *tap);
/* Closes its pipe. Idempotent. */
void tap_end(struct tap *tap);
/* What its client has not got of what came since it was opened. */
uint64_t tap_skipped_bytes(const struct tap *tap);
/*
 * Gives all taps what was read, without waiting for any. Its lines are in the log from `log_offset` on (-1: unknown), after `before` bytes of
 * an earlier read that begin the first; the start of a line without an end is the stream's `pending`.
 */
void taps_feed(struct stream *stream, off_t log_offset, size_t before, struct span bytes);
/* The stream has ended. */
void taps_finish(struct stream *stream);
/* Gives back the memory of those that caught up. */
void taps_rest(void);
/* Reads what is there now, writes it, and closes, the taps' pipes too: a last line without a newline becomes a fragment, which readers show as it was. */
void stream_finish(struct stream *stream);
/* Gives back the memory that long reads took; by the tick, which a long read asks for. */
void log_rest(void);

#endif
