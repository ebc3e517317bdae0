#include "try-message.h"
#include "../cgroup.h"
#include "../failure.h"
#include "../init/filter.h"
#include "../protocol-parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile unsigned long sink;

static void hold(bool promise, const char *words)
{
	if (promise)
		return;
	fprintf(stderr, "broken promise: %s\n", words);
	abort();
}

/* Every value of the body by every getter, to the last byte; groups as groups, everything else as groups too. */
static void read_all(struct span body, unsigned depth)
{
	struct tlv tlv;
	char string[256];
	uint64_t number;
	for (struct span rest = body; next_tlv(&rest, &tlv) == 1;) {
		for (uint32_t i = 0; i < tlv.value.length; i++)
			sink += tlv.value.bytes[i];
		sink += get_u32(body, tlv.tag, 0) + get_u64(body, tlv.tag, 0) + to_u32(tlv.value) + has_tag(body, tlv.tag);
		hold(get_span_or_empty(body, tlv.tag).length <= body.length, "a value is inside its body");
		if (span_to_string(tlv.value, string, sizeof string))
			hold(strlen(string) <= tlv.value.length, "a copy ends");
		sink += span_to_u64(tlv.value, UINT64_MAX, &number);
		struct filter_call call = {.number = 1};
		sink += filter_passes(tlv.value, &call);
		if (depth < MAX_GROUP_DEPTH)
			read_all(tlv.value, depth + 1);
	}
}

/* As on_create() and cgroup_apply() go through the lists. */
static void read_lists(struct span body, uint32_t fd_count)
{
	struct span group = get_span_or_empty(body, TAG_CGROUP);
	struct span rest = body;
	struct span one;
	struct path_list list = {NULL, 0};
	struct failure failure = {0};
	hold(cgroup_joins(group, &list), "memory");
	for (const char *path = path_list_next(&list, NULL); path != NULL; path = path_list_next(&list, path))
		hold(path[0] == '/', "a directory is absolute");
	path_list_free(&list);
	while (next_with_tag(&rest, TAG_MOUNT, &one)) {
		if (has_tag(one, TAG_MOUNT_FD))
			hold(get_u32(one, TAG_MOUNT_FD, 0) < fd_count, "an index is one of the fds that came");
		fail_at_span(&failure, 1, "fuzz", get_span_or_empty(one, TAG_TARGET));
	}
	hold(memchr(failure.path, 0, sizeof failure.path) != NULL && memchr(failure.stage, 0, sizeof failure.stage) != NULL, "a failure's words end");
}

enum verdict try_message(const uint8_t *bytes, size_t length)
{
	struct header header;
	struct refusal refusal = {0};
	if (length < 3)
		return NO_SUCH_TYPE;
	/* Exactly as long as it says, so that one byte too far is seen. */
	size_t body_length = length - 3;
	uint8_t *exact = malloc(body_length == 0 ? 1 : body_length);
	if (exact == NULL)
		abort();
	memcpy(exact, bytes + 3, body_length);
	struct span body = {exact, (uint32_t)body_length};
	parse_header(body, &header);
	uint32_t fd_count = bytes[2];
	const struct schema *schema = find_schema((uint16_t)(bytes[0] | bytes[1] << 8));
	enum verdict verdict = NO_SUCH_TYPE;
	if (schema != NULL) {
		verdict = check_message(schema, body, fd_count, &refusal) == 0 ? TAKEN : REFUSED;
		hold(verdict == TAKEN || refusal.error != 0, "a refusal has its reason");
		if (verdict == TAKEN) {
			read_all(body, 0);
			/* Elsewhere these may be tags that are passed over as unknown. */
			if (schema == find_schema(MESSAGE_CREATE_CONTAINER))
				read_lists(body, fd_count);
		}
	}
	free(exact);
	return verdict;
}
