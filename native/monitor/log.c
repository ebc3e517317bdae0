#include "../kernel.h"
#include "../memory.h"
#include "log.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

enum { READ_BYTES = 65536, MAX_LINE_BYTES = 65536, PIECES = 192, HEADER_LENGTH = 48 };

/* Shared by all streams: only what the longest read touched is resident. */
static uint8_t buffer[MAX_LINE_BYTES + READ_BYTES] PAGE_ALIGNED;
/* Index 0: a fragment (P), 1: a full line (F), of the time of the last read. */
static char headers[2][HEADER_LENGTH];
static struct iovec pieces[PIECES * 3] PAGE_ALIGNED;

int log_open(struct log_file *log)
{
	/* O_NONBLOCK: whoever may write to the directory may have put a FIFO there, whose opening would hold us up. */
	int fd = openat(log->dir_fd, log->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd < 0)
		return errno;
	struct stat old, new;
	int error = fstat(fd, &new) != 0 ? errno : S_ISREG(new.st_mode) ? 0 : EINVAL;
	if (error != 0) {
		close(fd);
		return error;
	}
	bool same = log->fd >= 0 && fstat(log->fd, &old) == 0 && old.st_dev == new.st_dev && old.st_ino == new.st_ino;
	if (log->fd >= 0)
		close(log->fd);
	log->fd = fd;
	if (same)
		return 0;
	log->torn = false;
	log->number++;
	log->began_at = lseek(fd, 0, SEEK_END);
	return 0;
}

void log_close(struct log_file *log)
{
	if (log->fd >= 0)
		close(log->fd);
	if (log->dir_fd >= 0)
		close(log->dir_fd);
	log->fd = log->dir_fd = -1;
}

/* `2026-11-23T01:02:03.123456789Z stdout F `: RFC 3339 with nanoseconds, as kubelet and crictl read it. */
static size_t write_headers(const char *stream)
{
	struct timespec now;
	struct tm utc;
	size_t length = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	for (unsigned i = 0; i < 2; i++) {
		struct text text = text_over(headers[i], HEADER_LENGTH);
		text_add_padded(&text, (uint64_t)utc.tm_year + 1900, 4);
		text_add(&text, "-");
		text_add_padded(&text, (uint64_t)utc.tm_mon + 1, 2);
		text_add(&text, "-");
		text_add_padded(&text, (uint64_t)utc.tm_mday, 2);
		text_add(&text, "T");
		text_add_padded(&text, (uint64_t)utc.tm_hour, 2);
		text_add(&text, ":");
		text_add_padded(&text, (uint64_t)utc.tm_min, 2);
		text_add(&text, ":");
		text_add_padded(&text, (uint64_t)utc.tm_sec, 2);
		text_add(&text, ".");
		text_add_padded(&text, (uint64_t)now.tv_nsec, 9);
		text_add(&text, "Z ");
		text_add(&text, stream);
		text_add(&text, i == 0 ? " P " : " F ");
		length = text.length;
	}
	return length;
}

/* Writes all of the pieces, or counts what the file did not take: the container is never held up by its log. */
static void write_pieces(struct log_file *log, unsigned count)
{
	unsigned at = 0;
	if (log->torn && log->fd >= 0 && write(log->fd, "\n", 1) == 1)
		log->torn = false;
	while (at < count) {
		ssize_t written = log->fd < 0 ? -1 : writev(log->fd, pieces + at, (int)(count - at));
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			for (; at < count; at++)
				log->dropped_bytes += pieces[at].iov_len;
			return;
		}
		while (at < count && (size_t)written >= pieces[at].iov_len)
			written -= (ssize_t)pieces[at++].iov_len;
		if (written > 0) {
			pieces[at].iov_base = (char *)pieces[at].iov_base + written;
			pieces[at].iov_len -= (size_t)written;
		}
		log->torn = at < count && pieces[at].iov_base != headers[0] && pieces[at].iov_base != headers[1];
	}
}

struct emitter {
	struct log_file *log;
	size_t header_length;
	unsigned count;
};

static void emit(struct emitter *emitter, uint8_t *bytes, size_t length, bool full)
{
	if (emitter->count + 3 > PIECES * 3) {
		write_pieces(emitter->log, emitter->count);
		emitter->count = 0;
	}
	pieces[emitter->count++] = (struct iovec){headers[full], emitter->header_length};
	if (length > 0)
		pieces[emitter->count++] = (struct iovec){bytes, length};
	pieces[emitter->count++] = (struct iovec){(char *)"\n", 1};
}

/* What is left over: the start of a line, shorter than the limit. */
static size_t emit_lines(struct emitter *emitter, size_t length, size_t limit)
{
	size_t at = 0;
	while (at < length) {
		uint8_t *newline = memchr(buffer + at, '\n', length - at);
		size_t line = newline == NULL ? length - at : (size_t)(newline - (buffer + at));
		if (line > limit) {
			emit(emitter, buffer + at, limit, false);
			at += limit;
		} else if (newline == NULL) {
			break;
		} else {
			emit(emitter, buffer + at, line, true);
			at += line + 1;
		}
	}
	return length - at;
}

static void keep_pending(struct stream *stream, const uint8_t *bytes, size_t length)
{
	free(stream->pending);
	stream->pending = length == 0 ? NULL : malloc(length);
	stream->pending_length = stream->pending == NULL ? 0 : (uint32_t)length;
	if (stream->pending != NULL)
		memcpy(stream->pending, bytes, length);
}

/* One read and its lines. False at the end of the stream, or when there is nothing now. */
static bool pump(struct stream *stream, bool *ended)
{
	size_t limit = stream->log->max_line_bytes;
	size_t start = stream->pending_length;
	if (limit == 0 || limit > MAX_LINE_BYTES)
		limit = 16384;
	if (start > 0)
		memcpy(buffer, stream->pending, start);
	ssize_t got = read(stream->watch.fd, buffer + start, READ_BYTES);
	if (got <= 0) {
		/* EIO: the other side of a terminal is closed. */
		*ended = got == 0 || (errno != EAGAIN && errno != EINTR);
		return false;
	}
	loop_tick_in(REST_AFTER_MS);
	off_t log_offset = stream->taps == NULL || stream->log->fd < 0 ? -1 : lseek(stream->log->fd, 0, SEEK_END);
	struct emitter emitter = {.log = stream->log, .header_length = write_headers(stream->name)};
	size_t length = start + (size_t)got;
	size_t left = emit_lines(&emitter, length, limit);
	write_pieces(stream->log, emitter.count);
	keep_pending(stream, buffer + length - left, left);
	stream->total_bytes += (uint64_t)got;
	if (stream->taps != NULL)
		taps_feed(stream, log_offset, start, (struct span){buffer + start, (uint32_t)got});
	return true;
}

static void close_stream(struct stream *stream)
{
	if (stream->pending_length > 0) {
		struct emitter emitter = {.log = stream->log, .header_length = write_headers(stream->name)};
		memcpy(buffer, stream->pending, stream->pending_length);
		emit(&emitter, buffer, stream->pending_length, false);
		write_pieces(stream->log, emitter.count);
	}
	keep_pending(stream, NULL, 0);
	loop_close(&stream->watch);
	taps_finish(stream);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	struct stream *stream = WATCH_OWNER(watch, struct stream, watch);
	bool ended = false;
	pump(stream, &ended);
	if (ended)
		close_stream(stream);
}

int stream_open(struct stream *stream, int fd, const char *name, struct log_file *log)
{
	stream->name = name;
	stream->log = log;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return loop_watch(&stream->watch, fd, EPOLLIN, on_ready);
}

void stream_finish(struct stream *stream)
{
	/* As much as a pipe of the largest usual size holds; a process that goes on writing does not keep us. */
	enum { MAX_READS = 64 };
	bool ended = false;
	if (stream->watch.fd < 0)
		return;
	for (unsigned i = 0; i < MAX_READS && pump(stream, &ended); i++)
		;
	close_stream(stream);
}

void log_rest(void)
{
	give_back(buffer, sizeof buffer);
	taps_rest();
}
