#include "protocol-parse.h"

#include <errno.h>
#include <string.h>

static uint32_t read_u16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t read_u32(const uint8_t *bytes)
{
	return read_u16(bytes) | read_u16(bytes + 2) << 16;
}

int parse_header(struct span packet, struct header *header)
{
	const uint8_t *bytes = packet.bytes;
	if (packet.length < HEADER_BYTES || read_u32(bytes) != PROTOCOL_MAGIC)
		return EBADMSG;
	header->version = (uint16_t)read_u16(bytes + 4);
	header->type = (uint16_t)read_u16(bytes + 6);
	header->request_id = read_u32(bytes + 8);
	header->status = (int32_t)read_u32(bytes + 12);
	header->flags = read_u32(bytes + 16);
	header->body_length = read_u32(bytes + 20);
	if (header->body_length > MAX_BODY_BYTES)
		return EBADMSG;
	uint32_t inline_length = header->flags & HEADER_FLAG_BODY_IN_MEMFD ? 0 : header->body_length;
	return packet.length - HEADER_BYTES == inline_length ? 0 : EBADMSG;
}

int next_tlv(struct span *in, struct tlv *out)
{
	if (in->length == 0)
		return 0;
	if (in->length < TLV_HEADER_BYTES)
		return -1;
	uint32_t length = read_u32(in->bytes + 4);
	if (length > in->length - TLV_HEADER_BYTES)
		return -1;
	out->tag = (uint16_t)read_u16(in->bytes);
	out->flags = (uint16_t)read_u16(in->bytes + 2);
	out->value = (struct span){in->bytes + TLV_HEADER_BYTES, length};
	in->bytes += TLV_HEADER_BYTES + length;
	in->length -= TLV_HEADER_BYTES + length;
	return 1;
}

bool next_with_tag(struct span *in, uint16_t tag, struct span *value)
{
	struct tlv tlv;
	while (next_tlv(in, &tlv) == 1) {
		if (tlv.tag != tag)
			continue;
		*value = tlv.value;
		return true;
	}
	return false;
}

bool get_span(struct span body, uint16_t tag, struct span *value)
{
	return next_with_tag(&body, tag, value);
}

struct span get_span_or_empty(struct span body, uint16_t tag)
{
	struct span value = {NULL, 0};
	get_span(body, tag, &value);
	return value;
}

bool has_tag(struct span body, uint16_t tag)
{
	struct span value;
	return get_span(body, tag, &value);
}

uint32_t to_u32(struct span value)
{
	return value.length == 4 ? read_u32(value.bytes) : 0;
}

uint32_t get_u32(struct span body, uint16_t tag, uint32_t fallback)
{
	struct span value;
	return get_span(body, tag, &value) && value.length == 4 ? read_u32(value.bytes) : fallback;
}

uint64_t get_u64(struct span body, uint16_t tag, uint64_t fallback)
{
	struct span value;
	if (!get_span(body, tag, &value) || value.length != 8)
		return fallback;
	return read_u32(value.bytes) | (uint64_t)read_u32(value.bytes + 4) << 32;
}

static bool is_id(struct span value)
{
	if (value.length == 0 || value.length > MAX_ID_BYTES || value.bytes[0] == '.')
		return false;
	for (uint32_t i = 0; i < value.length; i++) {
		uint8_t byte = value.bytes[i];
		bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
		if (!letter && byte != '_' && byte != '.' && byte != '-')
			return false;
	}
	return true;
}

static bool is_string(struct span value)
{
	return value.length == 0 || memchr(value.bytes, 0, value.length) == NULL;
}

static bool is_file_name(struct span value)
{
	return value.length > 0 && value.length < 256 && is_string(value) && memchr(value.bytes, '/', value.length) == NULL &&
	       !span_is(value, ".") && !span_is(value, "..");
}

static bool is_value(const struct field *field, struct span value, uint32_t fd_count)
{
	switch (field->type) {
	case VALUE_U32:
		return value.length == 4;
	case VALUE_U64:
		return value.length == 8;
	case VALUE_BOOL:
		return value.length == 4 && read_u32(value.bytes) <= 1;
	case VALUE_FD:
		return value.length == 4 && read_u32(value.bytes) < fd_count;
	case VALUE_STRING:
		return is_string(value);
	case VALUE_ID:
		return is_id(value);
	case VALUE_PATH:
		return value.length > 0 && value.length < 4096 && value.bytes[0] == '/' && is_string(value);
	case VALUE_FILE_NAME:
		return is_file_name(value);
	default:
		return true;
	}
}

static int refuse(struct refusal *refusal, int error, uint16_t tag)
{
	refusal->error = error;
	refusal->tag = tag;
	return error;
}

static int check_group(const struct schema *schema, struct span body, uint32_t fd_count, unsigned depth, struct refusal *refusal)
{
	struct tlv tlv;
	uint32_t seen = 0;
	int more;
	while ((more = next_tlv(&body, &tlv)) == 1) {
		uint32_t i = 0;
		while (i < schema->count && schema->fields[i].tag != tlv.tag)
			i++;
		if (i == schema->count) {
			if (tlv.flags & TLV_FLAG_OPTIONAL)
				continue;
			return refuse(refusal, EPROTO, tlv.tag);
		}
		const struct field *field = &schema->fields[i];
		if ((seen & 1u << i) != 0 && !field->list)
			return refuse(refusal, EBADMSG, tlv.tag);
		seen |= 1u << i;
		if (!is_value(field, tlv.value, fd_count))
			return refuse(refusal, EBADMSG, tlv.tag);
		if (field->type != VALUE_GROUP)
			continue;
		if (depth >= MAX_GROUP_DEPTH)
			return refuse(refusal, EBADMSG, tlv.tag);
		int error = check_group(field->group, tlv.value, fd_count, depth + 1, refusal);
		if (error != 0)
			return error;
	}
	if (more < 0)
		return refuse(refusal, EBADMSG, 0);
	for (uint32_t i = 0; i < schema->count; i++)
		if (schema->fields[i].required && (seen & 1u << i) == 0)
			return refuse(refusal, EBADMSG, schema->fields[i].tag);
	return 0;
}

int check_message(const struct schema *schema, struct span body, uint32_t fd_count, struct refusal *refusal)
{
	return check_group(schema, body, fd_count, 0, refusal);
}
