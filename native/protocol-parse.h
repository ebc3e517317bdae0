/* Reading messages: bounds-checked, against a schema. What passed check_message() can be read with the getters without further checks. */
#ifndef BERTH_PROTOCOL_PARSE_H
#define BERTH_PROTOCOL_PARSE_H

#include "protocol.h"
#include "text.h"

struct header {
	uint16_t version;
	uint16_t type;
	uint32_t request_id;
	int32_t status;
	uint32_t flags;
	uint32_t body_length;
};

struct tlv {
	uint16_t tag;
	uint16_t flags;
	struct span value;
};

enum value_type {
	VALUE_U32,
	VALUE_U64,
	VALUE_BOOL,
	VALUE_STRING,
	VALUE_BYTES,
	/* See MAX_ID_BYTES. */
	VALUE_ID,
	/* Starts with a slash, shorter than PATH_MAX. */
	VALUE_PATH,
	/* A file name: not empty, no slash, not . or .. */
	VALUE_FILE_NAME,
	VALUE_FD,
	VALUE_GROUP,
};

struct field {
	uint16_t tag;
	uint8_t type;
	uint8_t required;
	uint8_t list;
	const struct schema *group;
};

struct schema {
	/* Up to 32. */
	uint32_t count;
	const struct field *fields;
};

/* Why a message was refused. */
struct refusal {
	/* EPROTO: unknown tag. EBADMSG: malformed, duplicate or missing tag. */
	int error;
	uint16_t tag;
};

/* What a message of this type carries as request or event; null for an unknown type. */
const struct schema *find_schema(uint16_t type);

/* 0 or EBADMSG: `packet` is too short, has a wrong magic or lengths that do not fit. */
int parse_header(struct span packet, struct header *header);

/* 0 or the refusal's error. */
int check_message(const struct schema *schema, struct span body, uint32_t fd_count, struct refusal *refusal);

/* The next TLV: 1, 0 at the end, -1 when malformed. Advances `in`. */
int next_tlv(struct span *in, struct tlv *out);
/* The next TLV with this tag; false at the end. */
bool next_with_tag(struct span *in, uint16_t tag, struct span *value);
bool get_span(struct span body, uint16_t tag, struct span *value);
/* Empty when missing. */
struct span get_span_or_empty(struct span body, uint16_t tag);
bool has_tag(struct span body, uint16_t tag);
uint32_t get_u32(struct span body, uint16_t tag, uint32_t fallback);
uint64_t get_u64(struct span body, uint16_t tag, uint64_t fallback);
uint32_t to_u32(struct span value);

#endif
