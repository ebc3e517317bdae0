/* Tests of passwd and group lookups, with mutated files as well. Ends with "N passed, N failed". */
#include "init/user-files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
				  "# comment\n"
				  "broken:x:abc:1\n"
				  ":x:5:5::/:\n"
				  "1000:x:7:8::/odd:/bin/sh\n"
				  "app:x:1000:1001:The App:/home/app:/bin/sh\n"
				  "toobig:x:4294967295:1::/:\n"
				  "bare:x:12:13";
static const char group_text[] = "root:x:0:\nwheel:x:10:root,app\nempty::11\nlast:x:12:other,app";

static unsigned passed, failed;

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("failed: %s\n", what);
}

static void test_passwd(void)
{
	struct span passwd = span_of(passwd_text);
	struct passwd_entry entry;
	check(find_passwd_by_name(passwd, span_of("root"), &entry) && entry.uid == 0 && span_is(entry.home, "/root"), "the first entry");
	check(find_passwd_by_name(passwd, span_of("app"), &entry) && entry.uid == 1000 && entry.gid == 1001 && span_is(entry.home, "/home/app"), "by name");
	check(find_passwd_by_uid(passwd, 1000, &entry) && span_is(entry.name, "app"), "by uid");
	check(find_passwd_by_name(passwd, span_of("1000"), &entry) && entry.uid == 7, "a name of digits is a name");
	check(find_passwd_by_name(passwd, span_of("bare"), &entry) && entry.gid == 13 && entry.home.length == 0, "a last line without end and home");
	check(!find_passwd_by_name(passwd, span_of("broken"), &entry), "a uid that is no number");
	check(!find_passwd_by_name(passwd, span_of("toobig"), &entry), "the uid that means unchanged");
	check(!find_passwd_by_name(passwd, span_of(""), &entry), "no name");
	check(!find_passwd_by_uid(passwd, 99, &entry), "an unknown uid");
}

static void test_group(void)
{
	struct span group = span_of(group_text);
	uint32_t gid = 99;
	check(find_group_by_name(group, span_of("wheel"), &gid) && gid == 10, "group by name");
	check(!find_group_by_name(group, span_of("whee"), &gid), "a part of a name");
	struct span rest = group;
	check(next_group_of(&rest, span_of("app"), &gid) && gid == 10, "first group of a member");
	check(next_group_of(&rest, span_of("app"), &gid) && gid == 12, "second group of a member");
	check(!next_group_of(&rest, span_of("app"), &gid), "no third one");
	rest = group;
	check(!next_group_of(&rest, span_of("ap"), &gid), "a part of a member");
}

static void test_ids(void)
{
	uint32_t id;
	check(to_id(span_of("0"), &id) && id == 0, "0");
	check(to_id(span_of("4294967294"), &id) && id == 4294967294u, "the highest id");
	check(!to_id(span_of("4294967295"), &id) && !to_id(span_of("99999999999999999999999"), &id), "too high");
	check(!to_id(span_of("-1"), &id) && !to_id(span_of("1 "), &id) && !to_id(span_of("0x1"), &id) && !to_id(span_of(""), &id), "no numbers");
}

/* Heap copies of the exact size: a read past the end is the sanitizer's to find. */
static void look_everything_up(const char *bytes, size_t length)
{
	uint8_t *copy = malloc(length + (length == 0));
	struct span text = {copy, (uint32_t)length};
	struct passwd_entry entry;
	uint32_t gid;
	memcpy(copy, bytes, length);
	find_passwd_by_name(text, span_of("app"), &entry);
	find_passwd_by_uid(text, 1000, &entry);
	find_group_by_name(text, span_of("wheel"), &gid);
	for (struct span rest = text; next_group_of(&rest, span_of("app"), &gid);)
		;
	free(copy);
}

int main(void)
{
	enum { ROUNDS = 200000 };
	test_passwd();
	test_group();
	test_ids();
	srand(7);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char bytes[256];
		const char *from = i % 2 ? passwd_text : group_text;
		size_t length = (size_t)rand() % (strlen(from) + 1);
		memcpy(bytes, from, length);
		for (unsigned j = 0; length > 0 && j < 6; j++)
			bytes[(size_t)rand() % length] = ":\n,0a"[rand() % 5];
		look_everything_up(bytes, length);
	}
	check(true, "mutated files are read within their bounds");
	printf("%u mutated files\n%u passed, %u failed\n", ROUNDS, passed, failed);
	return failed != 0;
}
