#include "protocol-write.h"
#include "memory.h"

#include <string.h>

static struct writer the_writer;
static uint8_t buffer[WHOLE_PAGES(HEADER_BYTES + WRITER_CAPACITY)] PAGE_ALIGNED;

static void put_u16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
	put_u16(bytes, value);
	put_u16(bytes + 2, value >> 16);
}

struct writer *write_message(uint16_t type, uint32_t request_id, uint32_t flags)
{
	memset(&the_writer, 0, sizeof the_writer);
	the_writer.header.type = type;
	the_writer.header.request_id = request_id;
	the_writer.header.flags = flags;
	return &the_writer;
}

static uint8_t *reserve(struct writer *writer, uint16_t tag, uint32_t length)
{
	if (writer->overflow || length > WRITER_CAPACITY - TLV_HEADER_BYTES ||
	    writer->length > WRITER_CAPACITY - TLV_HEADER_BYTES - length) {
		writer->overflow = true;
		return NULL;
	}
	uint8_t *at = buffer + HEADER_BYTES + writer->length;
	put_u16(at, tag);
	put_u16(at + 2, 0);
	put_u32(at + 4, length);
	writer->length += TLV_HEADER_BYTES + length;
	return at + TLV_HEADER_BYTES;
}

void write_bytes(struct writer *writer, uint16_t tag, struct span value)
{
	uint8_t *at = reserve(writer, tag, value.length);
	if (at != NULL && value.length > 0)
		memcpy(at, value.bytes, value.length);
}

void write_string(struct writer *writer, uint16_t tag, const char *value)
{
	write_bytes(writer, tag, span_of(value));
}

void write_u32(struct writer *writer, uint16_t tag, uint32_t value)
{
	uint8_t *at = reserve(writer, tag, 4);
	if (at != NULL)
		put_u32(at, value);
}

void write_u64(struct writer *writer, uint16_t tag, uint64_t value)
{
	uint8_t *at = reserve(writer, tag, 8);
	if (at == NULL)
		return;
	put_u32(at, (uint32_t)value);
	put_u32(at + 4, (uint32_t)(value >> 32));
}

void write_fd(struct writer *writer, uint16_t tag, int fd)
{
	if (writer->fd_count >= WRITER_MAX_FDS) {
		writer->overflow = true;
		return;
	}
	if (tag != 0)
		write_u32(writer, tag, writer->fd_count);
	writer->fds[writer->fd_count++] = fd;
}

uint32_t begin_group(struct writer *writer, uint16_t tag)
{
	uint32_t group = writer->length;
	reserve(writer, tag, 0);
	return group;
}

void end_group(struct writer *writer, uint32_t group)
{
	if (!writer->overflow)
		put_u32(buffer + HEADER_BYTES + group + 4, writer->length - group - TLV_HEADER_BYTES);
}

struct span finish_message(struct writer *writer, uint16_t version)
{
	if (writer->length > MAX_INLINE_BODY_BYTES)
		writer->header.flags |= HEADER_FLAG_BODY_IN_MEMFD;
	put_u32(buffer, PROTOCOL_MAGIC);
	put_u16(buffer + 4, version);
	put_u16(buffer + 6, writer->header.type);
	put_u32(buffer + 8, writer->header.request_id);
	put_u32(buffer + 12, (uint32_t)writer->header.status);
	put_u32(buffer + 16, writer->header.flags);
	put_u32(buffer + 20, writer->length);
	return (struct span){buffer, HEADER_BYTES + writer->length};
}

void writer_rest(void)
{
	give_back(buffer, sizeof buffer);
}
