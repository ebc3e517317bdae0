/*
 * Output of a stream on its way to attached clients, besides the log. A client that does not take it at once gets it later, out of the log:
 * nobody waits for it, and nothing is kept in memory for it.
 */
#include "../kernel.h"
#include "../memory.h"
#include "log.h"

#include <string.h>

/* What a client may take later without a look into the log: the largest pipe that anyone may have. Refused, it keeps its usual size. */
enum { TAP_PIPE_BYTES = 1 << 20 };
/* Holds a line of the longest. */
enum { CATCH_UP_BYTES = 131072 };

/* A piece of the log, and what of it is the stream's. */
static uint8_t piece[CATCH_UP_BYTES] PAGE_ALIGNED;
static uint8_t decoded[CATCH_UP_BYTES] PAGE_ALIGNED;

/* Where a client is in the piece: `skip` bytes of the stream from there on it has already. */
struct place {
	size_t at;
	uint64_t skip;
};

/* "<time> <stream> <P|F> <content>": the content of a line of this stream. */
static bool parse_line(const char *name, struct span line, struct span *content, bool *full)
{
	size_t name_length = strlen(name);
	const uint8_t *space = memchr(line.bytes, ' ', line.length);
	if (space == NULL)
		return false;
	struct span rest = {space + 1, line.length - (uint32_t)(space + 1 - line.bytes)};
	if (rest.length < name_length + 3 || memcmp(rest.bytes, name, name_length) != 0 || rest.bytes[name_length] != ' ')
		return false;
	*full = rest.bytes[name_length + 1] == 'F';
	*content = (struct span){rest.bytes + name_length + 3, rest.length - (uint32_t)name_length - 3};
	return true;
}

static void copy_bytes(struct span content, uint64_t from, size_t count, uint8_t *out)
{
	size_t of_content = from >= content.length ? 0 : content.length - from < count ? content.length - (size_t)from : count;
	memcpy(out, content.bytes + from, of_content);
	if (of_content < count)
		out[of_content] = '\n';
}

/* Decodes the stream's bytes of the whole lines from `place` on, at most `limit` of them; `place` goes after the last. */
static size_t walk(const char *name, size_t length, size_t limit, struct place *place)
{
	size_t total = 0;
	const uint8_t *end;
	while ((end = memchr(piece + place->at, '\n', length - place->at)) != NULL) {
		struct span line = {piece + place->at, (uint32_t)(end - piece - place->at)};
		struct span content;
		bool full;
		bool ours = parse_line(name, line, &content, &full);
		uint64_t bytes = ours ? content.length + (uint64_t)full : 0;
		if (ours && place->skip >= bytes) {
			place->skip -= bytes;
		} else if (ours) {
			size_t count = (size_t)(bytes - place->skip);
			bool cut = count > limit - total;
			if (cut)
				count = limit - total;
			copy_bytes(content, place->skip, count, decoded + total);
			total += count;
			place->skip = cut ? place->skip + count : 0;
			if (cut)
				return total;
		}
		place->at = (size_t)(end + 1 - piece);
	}
	return total;
}

void tap_end(struct tap *tap)
{
	loop_close(&tap->watch);
	if (tap->lagging)
		close(tap->log_fd);
	tap->lagging = false;
}

/* Bytes that its pipe took; fewer than `length` when it is full. */
static size_t give(struct tap *tap, const uint8_t *bytes, size_t length)
{
	ssize_t written = length == 0 ? 0 : write(tap->watch.fd, bytes, length);
	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (written < 0) {
		/* EPIPE: nobody reads it any more. */
		tap_end(tap);
		return 0;
	}
	tap->delivered_bytes += (uint64_t)written;
	return (size_t)written;
}

static int open_again(int fd)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/self/fd/");
	text_add_u64(&text, (uint64_t)fd);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* From `offset` on the log has what the client lacks, and `skip` bytes before. Without a log it lacks it for good. */
static void begin_lag(struct tap *tap, off_t offset, uint64_t skip)
{
	const struct log_file *log = tap->stream->log;
	int fd = log->fd < 0 || offset < 0 ? -1 : open_again(log->fd);
	if (fd < 0)
		return;
	tap->lagging = true;
	tap->log_fd = fd;
	tap->log_number = log->number;
	tap->offset = offset;
	tap->skip = skip;
	loop_change(&tap->watch, EPOLLOUT);
}

static void end_lag(struct tap *tap)
{
	close(tap->log_fd);
	tap->lagging = false;
	loop_change(&tap->watch, 0);
	if (tap->finishing)
		tap_end(tap);
}

/* The log went on in another file. What was in one that came and went in between is missed. */
static bool next_file(struct tap *tap)
{
	const struct log_file *log = tap->stream->log;
	int fd = open_again(log->fd);
	if (fd < 0)
		return false;
	close(tap->log_fd);
	tap->log_fd = fd;
	tap->offset = log->began_at;
	if (tap->log_number + 1 != log->number)
		tap->skip = 0;
	tap->log_number = log->number;
	return true;
}

enum progress { MORE, FULL, AT_END };

static enum progress give_lines(struct tap *tap)
{
	struct place place = {0, tap->skip};
	struct place reached = place;
	ssize_t length = pread(tap->log_fd, piece, sizeof piece, tap->offset);
	size_t total = length <= 0 ? 0 : walk(tap->stream->name, (size_t)length, sizeof decoded, &reached);
	size_t given = give(tap, decoded, total);
	if (tap->watch.fd < 0)
		return FULL;
	if (given < total) {
		walk(tap->stream->name, (size_t)length, given, &place);
		reached = place;
	}
	tap->offset += (off_t)reached.at;
	tap->skip = reached.skip;
	if (given < total)
		return FULL;
	return reached.at > 0 ? MORE : AT_END;
}

/* The start of a line that the log has not got yet. */
static enum progress give_pending(struct tap *tap)
{
	const struct stream *stream = tap->stream;
	if (tap->skip < stream->pending_length)
		tap->skip += give(tap, stream->pending + tap->skip, stream->pending_length - (size_t)tap->skip);
	return tap->watch.fd < 0 || tap->skip < stream->pending_length ? FULL : AT_END;
}

static enum progress catch_up(struct tap *tap)
{
	enum progress progress = give_lines(tap);
	if (progress != AT_END)
		return progress;
	if (tap->log_number != tap->stream->log->number && next_file(tap))
		return MORE;
	progress = give_pending(tap);
	if (progress == AT_END)
		end_lag(tap);
	return progress;
}

/* There is room in the pipe, or nobody reads it any more. */
static void on_room(struct watch *watch, uint32_t events)
{
	enum { ROUNDS = 4 };
	struct tap *tap = WATCH_OWNER(watch, struct tap, watch);
	loop_tick_in(REST_AFTER_MS);
	if (events & EPOLLERR)
		tap_end(tap);
	for (unsigned i = 0; i < ROUNDS && tap->lagging && catch_up(tap) != FULL; i++)
		;
	if (tap->watch.fd < 0 && tap->done != NULL)
		tap->done(tap);
}

void tap_open(struct tap *tap, struct stream *stream, int fd)
{
	*tap = (struct tap){.watch.fd = -1, .stream = stream, .began_at_bytes = stream->total_bytes};
	fcntl(fd, F_SETFL, O_WRONLY | O_NONBLOCK);
	(void)fcntl(fd, F_SETPIPE_SZ, TAP_PIPE_BYTES);
	if (stream->watch.fd < 0 || loop_watch(&tap->watch, fd, 0, on_room) != 0) {
		close(fd);
		return;
	}
	tap->next = stream->taps;
	stream->taps = tap;
}

void tap_close(struct tap *tap)
{
	if (tap->stream == NULL)
		return;
	struct tap **link = &tap->stream->taps;
	while (*link != NULL && *link != tap)
		link = &(*link)->next;
	if (*link == tap)
		*link = tap->next;
	tap_end(tap);
}

void taps_feed(struct stream *stream, off_t log_offset, size_t before, struct span bytes)
{
	for (struct tap *tap = stream->taps; tap != NULL; tap = tap->next) {
		if (tap->watch.fd < 0 || tap->lagging)
			continue;
		size_t given = give(tap, bytes.bytes, bytes.length);
		if (given < bytes.length && tap->watch.fd >= 0)
			begin_lag(tap, log_offset, before + given);
	}
}

void taps_finish(struct stream *stream)
{
	for (struct tap *tap = stream->taps; tap != NULL; tap = tap->next) {
		tap->finishing = true;
		if (!tap->lagging)
			tap_end(tap);
	}
}

uint64_t tap_skipped_bytes(const struct tap *tap)
{
	return tap->stream == NULL ? 0 : tap->stream->total_bytes - tap->began_at_bytes - tap->delivered_bytes;
}

void taps_rest(void)
{
	give_back(piece, sizeof piece);
	give_back(decoded, sizeof decoded);
}
