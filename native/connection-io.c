#include "kernel.h"
#include "connection-io.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* A peer that does not read is cut off beyond this; it comes back and asks LIST. */
enum { MAX_QUEUED_BYTES = 1 << 20 };

struct outgoing {
	struct outgoing *next;
	int fds[WRITER_MAX_FDS];
	uint32_t fd_count;
	uint32_t length;
	uint8_t bytes[];
};

/* Only the pages that a message touches are ever resident. */
static uint8_t packet[WHOLE_PAGES(HEADER_BYTES + MAX_INLINE_BODY_BYTES)] PAGE_ALIGNED;
static int packet_fds[MAX_FDS];
static union {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
} control;
static void *mapped_body;
static size_t mapped_length;

static void take_fds(struct msghdr *header, struct message *message)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && message->fd_count < MAX_FDS; i++)
			memcpy(&packet_fds[message->fd_count++], CMSG_DATA(item) + i * sizeof(int), sizeof(int));
	}
}

/* Reads the memfd into memory of our own: whoever sent it could still change or shrink it. */
static int read_long_body(struct message *message)
{
	if (message->fd_count == 0 || message->header.body_length == 0)
		return EBADMSG;
	int fd = message->fds[0];
	size_t length = message->header.body_length;
	uint8_t *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return ENOMEM;
	mapped_body = bytes;
	mapped_length = length;
	for (size_t at = 0; at < length;) {
		ssize_t got = pread(fd, bytes + at, length - at, (off_t)at);
		if (got <= 0)
			return EBADMSG;
		at += (size_t)got;
	}
	close(fd);
	message->fds++;
	message->fd_count--;
	message->body = (struct span){bytes, (uint32_t)length};
	return 0;
}

int receive_message(int fd, struct message *message)
{
	struct iovec iov = {packet, HEADER_BYTES + MAX_INLINE_BODY_BYTES};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	memset(message, 0, sizeof *message);
	message->fds = packet_fds;
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? EAGAIN : ENOTCONN;
	take_fds(&header, message);
	if (length == 0)
		return ENOTCONN;
	if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		parse_header((struct span){packet, HEADER_BYTES}, &message->header);
		return EMSGSIZE;
	}
	if (parse_header((struct span){packet, (uint32_t)length}, &message->header) != 0)
		return EBADMSG;
	message->body = (struct span){packet + HEADER_BYTES, message->header.body_length};
	if (message->header.flags & HEADER_FLAG_BODY_IN_MEMFD)
		return read_long_body(message) == 0 ? 0 : EBADMSG;
	return 0;
}

void connections_rest(void)
{
	give_back(packet, sizeof packet);
	writer_rest();
}

void forget_message(void)
{
	connections_rest();
	if (mapped_body != NULL)
		munmap(mapped_body, mapped_length);
	mapped_body = NULL;
}

void release_message(struct message *message)
{
	for (uint32_t i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
	if (mapped_body != NULL)
		munmap(mapped_body, mapped_length);
	mapped_body = NULL;
}

static int send_packet(int fd, struct span bytes, const int *fds, uint32_t fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(WRITER_MAX_FDS * sizeof(int))];
	} ancillary;
	struct iovec iov = {(void *)(uintptr_t)bytes.bytes, bytes.length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd_count > 0) {
		memset(&ancillary, 0, sizeof ancillary);
		header.msg_control = ancillary.bytes;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(item), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

static void free_outgoing(struct outgoing *outgoing)
{
	for (uint32_t i = 0; i < outgoing->fd_count; i++)
		close(outgoing->fds[i]);
	free(outgoing);
}

void drop_queue(struct connection *connection)
{
	while (connection->queue != NULL) {
		struct outgoing *first = connection->queue;
		connection->queue = first->next;
		free_outgoing(first);
	}
	connection->queued_bytes = 0;
}

static void enqueue(struct connection *connection, struct span bytes, const int *fds, uint32_t fd_count)
{
	struct outgoing *outgoing = malloc(sizeof *outgoing + bytes.length);
	if (outgoing == NULL || connection->queued_bytes + bytes.length > MAX_QUEUED_BYTES) {
		free(outgoing);
		end_connection(connection);
		return;
	}
	outgoing->next = NULL;
	outgoing->length = bytes.length;
	memcpy(outgoing->bytes, bytes.bytes, bytes.length);
	outgoing->fd_count = 0;
	for (uint32_t i = 0; i < fd_count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (copy >= 0)
			outgoing->fds[outgoing->fd_count++] = copy;
	}
	struct outgoing **link = &connection->queue;
	while (*link != NULL)
		link = &(*link)->next;
	*link = outgoing;
	connection->queued_bytes += bytes.length;
	loop_change(&connection->watch, EPOLLIN | EPOLLOUT);
}

void flush_queue(struct connection *connection)
{
	while (connection->queue != NULL) {
		struct outgoing *first = connection->queue;
		int error = send_packet(connection->watch.fd, (struct span){first->bytes, first->length}, first->fds, first->fd_count);
		if (error == EAGAIN)
			return;
		connection->queue = first->next;
		connection->queued_bytes -= first->length;
		free_outgoing(first);
	}
	loop_change(&connection->watch, EPOLLIN);
}

static int body_memfd(struct span body)
{
	int fd = memfd_create("berth-message", MFD_CLOEXEC);
	for (uint32_t at = 0; fd >= 0 && at < body.length;) {
		ssize_t wrote = write(fd, body.bytes + at, body.length - at);
		if (wrote <= 0) {
			close(fd);
			return -1;
		}
		at += (uint32_t)wrote;
	}
	return fd;
}

void send_message(struct connection *connection, struct writer *writer)
{
	int fds[WRITER_MAX_FDS + 1];
	uint32_t fd_count = 0;
	int memfd = -1;
	if (writer->overflow) {
		end_connection(connection);
		return;
	}
	struct span bytes = finish_message(writer, connection->version);
	if (writer->header.flags & HEADER_FLAG_BODY_IN_MEMFD) {
		memfd = body_memfd((struct span){bytes.bytes + HEADER_BYTES, bytes.length - HEADER_BYTES});
		if (memfd < 0 || writer->fd_count == WRITER_MAX_FDS) {
			if (memfd >= 0)
				close(memfd);
			end_connection(connection);
			return;
		}
		bytes.length = HEADER_BYTES;
		fds[fd_count++] = memfd;
	}
	for (uint32_t i = 0; i < writer->fd_count; i++)
		fds[fd_count++] = writer->fds[i];
	int error = connection->queue != NULL ? EAGAIN : send_packet(connection->watch.fd, bytes, fds, fd_count);
	if (error == EAGAIN)
		enqueue(connection, bytes, fds, fd_count);
	else if (error != 0)
		end_connection(connection);
	if (memfd >= 0)
		close(memfd);
}
