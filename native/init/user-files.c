#include "user-files.h"

#include <string.h>

enum { MAX_FIELDS = 8 };

static struct span take_until(struct span *rest, char end)
{
	const uint8_t *at = rest->length == 0 ? NULL : memchr(rest->bytes, end, rest->length);
	struct span taken = {rest->bytes, at == NULL ? rest->length : (uint32_t)(at - rest->bytes)};
	uint32_t used = taken.length + (at == NULL ? 0 : 1);
	rest->bytes += used;
	rest->length -= used;
	return taken;
}

/* Fields of the next line; 0 at the end of the text. Empty lines have one field. */
static unsigned next_line(struct span *text, struct span fields[MAX_FIELDS])
{
	if (text->length == 0)
		return 0;
	struct span line = take_until(text, '\n');
	unsigned count = 0;
	do
		fields[count++] = take_until(&line, ':');
	while (line.length > 0 && count < MAX_FIELDS);
	return count;
}

bool to_id(struct span text, uint32_t *id)
{
	uint64_t number;
	if (!span_to_u64(text, UINT32_MAX - 1, &number))
		return false;
	*id = (uint32_t)number;
	return true;
}

static bool next_passwd(struct span *passwd, struct passwd_entry *entry)
{
	struct span fields[MAX_FIELDS];
	unsigned count;
	while ((count = next_line(passwd, fields)) > 0) {
		if (count < 4 || fields[0].length == 0 || !to_id(fields[2], &entry->uid) || !to_id(fields[3], &entry->gid))
			continue;
		entry->name = fields[0];
		entry->home = count > 5 ? fields[5] : (struct span){NULL, 0};
		return true;
	}
	return false;
}

bool find_passwd_by_name(struct span passwd, struct span name, struct passwd_entry *entry)
{
	while (next_passwd(&passwd, entry))
		if (span_equals(entry->name, name))
			return true;
	return false;
}

bool find_passwd_by_uid(struct span passwd, uint32_t uid, struct passwd_entry *entry)
{
	while (next_passwd(&passwd, entry))
		if (entry->uid == uid)
			return true;
	return false;
}

static bool next_group(struct span *group, struct span *name, uint32_t *gid, struct span *members)
{
	struct span fields[MAX_FIELDS];
	unsigned count;
	while ((count = next_line(group, fields)) > 0) {
		if (count < 3 || fields[0].length == 0 || !to_id(fields[2], gid))
			continue;
		*name = fields[0];
		*members = count > 3 ? fields[3] : (struct span){NULL, 0};
		return true;
	}
	return false;
}

bool find_group_by_name(struct span group, struct span name, uint32_t *gid)
{
	struct span found;
	struct span members;
	while (next_group(&group, &found, gid, &members))
		if (span_equals(found, name))
			return true;
	return false;
}

bool next_group_of(struct span *group, struct span user, uint32_t *gid)
{
	struct span name;
	struct span members;
	while (next_group(group, &name, gid, &members))
		while (members.length > 0)
			if (span_equals(take_until(&members, ','), user))
				return true;
	return false;
}
