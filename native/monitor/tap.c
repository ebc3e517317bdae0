/* Output of a stream on its way to attached clients, besides the log. */
#include "../kernel.h"
#include "log.h"

/* What a client may lag behind, at most: the largest pipe that anyone may have. Refused, it keeps its usual size. */
enum { TAP_PIPE_BYTES = 1 << 20 };

void tap_end(struct tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd);
	tap->fd = -1;
}

void tap_open(struct tap *tap, struct stream *stream, int fd)
{
	tap->fd = fd;
	tap->skipped_bytes = 0;
	fcntl(fd, F_SETFL, O_WRONLY | O_NONBLOCK);
	(void)fcntl(fd, F_SETPIPE_SZ, TAP_PIPE_BYTES);
	tap->next = stream->taps;
	stream->taps = tap;
	if (stream->watch.fd < 0)
		tap_end(tap);
}

void tap_close(struct tap *tap, struct stream *stream)
{
	struct tap **link = &stream->taps;
	while (*link != NULL && *link != tap)
		link = &(*link)->next;
	if (*link == tap)
		*link = tap->next;
	tap_end(tap);
}

void tap_write(struct tap *tap, const uint8_t *bytes, size_t length)
{
	ssize_t written = tap->fd < 0 ? 0 : write(tap->fd, bytes, length);
	/* EPIPE: nobody reads it any more. */
	if (written < 0 && errno != EAGAIN && errno != EINTR)
		tap_end(tap);
	tap->skipped_bytes += length - (size_t)(written < 0 ? 0 : written);
}
