/* Tests of the parser over literal and mutated messages, and of text building. Ends with "N passed, N failed". */
#include "protocol-parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned passed, failed;

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("failed: %s\n", what);
}

static uint32_t put_tlv(uint8_t *at, uint16_t tag, uint16_t flags, const void *value, uint32_t length)
{
	uint8_t header[8] = {(uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)flags, 0, (uint8_t)length, (uint8_t)(length >> 8), 0, 0};
	memcpy(at, header, 8);
	memcpy(at + 8, value, length);
	return 8 + length;
}

static int checked(const uint8_t *body, uint32_t length, uint16_t type, uint16_t *tag)
{
	struct refusal refusal = {0};
	int error = check_message(find_schema(type), (struct span){body, length}, 2, &refusal);
	*tag = refusal.tag;
	return error;
}

static void test_schema(void)
{
	uint8_t body[512];
	uint16_t tag;
	uint32_t one = 1;
	uint32_t length = put_tlv(body, TAG_CONTAINER_ID, 0, "abc", 3);
	check(checked(body, length, MESSAGE_START, &tag) == 0, "START with an id is taken");
	check(checked(body, 0, MESSAGE_START, &tag) == EBADMSG && tag == TAG_CONTAINER_ID, "START without an id is refused, naming the tag");
	check(checked(body, length, MESSAGE_SIGNAL, &tag) == EBADMSG && tag == TAG_SIGNO, "SIGNAL without a number is refused");
	uint32_t twice = length + put_tlv(body + length, TAG_CONTAINER_ID, 0, "abd", 3);
	check(checked(body, twice, MESSAGE_START, &tag) == EBADMSG, "a tag twice is refused");
	uint32_t unknown = length + put_tlv(body + length, 9999, 0, &one, 4);
	check(checked(body, unknown, MESSAGE_START, &tag) == EPROTO && tag == 9999, "an unknown tag is refused, named");
	unknown = length + put_tlv(body + length, 9999, TLV_FLAG_OPTIONAL, &one, 4);
	check(checked(body, unknown, MESSAGE_START, &tag) == 0, "an unknown optional tag is passed over");
	check(checked(body, length - 1, MESSAGE_START, &tag) == EBADMSG, "a cut TLV is refused");
	length = put_tlv(body, TAG_CONTAINER_ID, 0, "../x", 4);
	check(checked(body, length, MESSAGE_START, &tag) == EBADMSG, "an id with a slash is refused");
	length = put_tlv(body, TAG_CONTAINER_ID, 0, "a", 1);
	one = 7;
	length += put_tlv(body + length, TAG_LOG_DIR_FD, 0, &one, 4);
	check(checked(body, length, MESSAGE_REOPEN_LOG, &tag) == EBADMSG && tag == TAG_LOG_DIR_FD, "an fd that did not come is refused");
	check(find_schema(12345) == NULL, "an unknown type has no schema");
}

static void test_user_namespace(void)
{
	uint8_t body[512];
	uint8_t mapping[64];
	uint16_t tag;
	uint32_t number = 65536;
	uint32_t length = put_tlv(body, TAG_SANDBOX_ID, 0, "abc", 3);
	length += put_tlv(body + length, TAG_NAMESPACES, 0, &number, 4);
	uint32_t n = put_tlv(mapping, TAG_FIRST_UID, 0, &number, 4);
	n += put_tlv(mapping + n, TAG_UID_COUNT, 0, &number, 4);
	n += put_tlv(mapping + n, TAG_FIRST_GID, 0, &number, 4);
	uint32_t cut = length + put_tlv(body + length, TAG_USER_NAMESPACE, 0, mapping, n);
	check(checked(body, length, MESSAGE_CREATE_MONITOR, &tag) == 0, "CREATE_MONITOR without a user namespace is taken");
	check(checked(body, cut, MESSAGE_CREATE_MONITOR, &tag) == EBADMSG && tag == TAG_GID_COUNT, "a user namespace without a gid count is refused");
	n += put_tlv(mapping + n, TAG_GID_COUNT, 0, &number, 4);
	length += put_tlv(body + length, TAG_USER_NAMESPACE, 0, mapping, n);
	check(checked(body, length, MESSAGE_CREATE_MONITOR, &tag) == 0, "CREATE_MONITOR with a user namespace is taken");
}

static void test_text(void)
{
	char small[8];
	struct text text = text_over(small, sizeof small);
	text_add(&text, "abc");
	text_add_padded(&text, 42, 4);
	check(strcmp(small, "abc0042") == 0 && !text.cut, "text fits to the last byte");
	text_add(&text, "x");
	check(strcmp(small, "abc0042") == 0 && text.cut, "text that does not fit is cut, and says so");
	uint64_t number = 0;
	check(span_to_u64(span_of("18446744073709551615"), UINT64_MAX, &number) && number == UINT64_MAX, "the highest u64");
	check(!span_to_u64(span_of("256"), 255, &number) && !span_to_u64(span_of(""), 255, &number) && !span_to_u64(span_of("1x"), 255, &number), "what is no number");
}

/* Whatever the bytes, the answer is a verdict: the sanitizers see to the rest. */
static void test_mutations(void)
{
	enum { ROUNDS = 400000 };
	static const uint16_t types[] = {MESSAGE_HELLO, MESSAGE_CREATE_MONITOR, MESSAGE_CREATE_CONTAINER, MESSAGE_EXEC, MESSAGE_KEEP, MESSAGE_RESIZE};
	static const uint16_t tags[] = {TAG_CONTAINER_ID, TAG_PROCESS, TAG_ARG, TAG_CGROUP, TAG_MOUNT, TAG_ROOTFS, TAG_CWD, TAG_USER};
	unsigned refused = 0;
	srand(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t length = 0;
		uint8_t *body = malloc(256);
		for (unsigned i = 0; i < 4; i++)
			length += put_tlv(body + length, tags[(unsigned)rand() % 8], 0, "/abcdefghijklmnopq", (uint32_t)rand() % 18);
		for (unsigned i = 0; i < 3; i++)
			body[(unsigned)rand() % length] = (uint8_t)rand();
		/* Exactly as long as it says, so that one byte too far is seen. */
		uint8_t *exact = malloc(length);
		memcpy(exact, body, length);
		uint16_t tag;
		refused += checked(exact, length, types[(unsigned)rand() % 6], &tag) != 0;
		struct header header;
		parse_header((struct span){exact, length}, &header);
		free(exact);
		free(body);
	}
	printf("%u mutated messages tried, %u refused\n", (unsigned)ROUNDS, refused);
	check(refused > ROUNDS / 2, "most mutations are refused");
}

static uint32_t put_group(uint8_t *at, uint16_t tag, const uint8_t *content, uint32_t length)
{
	return put_tlv(at, tag, 0, content, length);
}

/* A CREATE_CONTAINER with groups in groups, as a daemon sends it. */
static uint32_t build_launch(uint8_t *body)
{
	uint8_t inner[256];
	uint8_t outer[512];
	uint32_t one = 1;
	uint64_t many = 0x401;
	uint32_t length = put_tlv(body, TAG_CONTAINER_ID, 0, "abc", 3);
	uint32_t n = put_tlv(inner, TAG_PATH, 0, "/sys/fs/cgroup/x/pids.max", 25);
	n += put_tlv(inner + n, TAG_VALUE, 0, "100", 3);
	uint32_t m = put_tlv(outer, TAG_CGROUP_DIR, 0, "/sys/fs/cgroup/x", 16);
	m += put_group(outer + m, TAG_CGROUP_WRITE, inner, n);
	length += put_group(body + length, TAG_CGROUP, outer, m);
	n = put_tlv(inner, TAG_LOWER_DIR, 0, "/l", 2);
	n += put_tlv(inner + n, TAG_UPPER_DIR, 0, "/u", 2);
	n += put_tlv(inner + n, TAG_WORK_DIR, 0, "/w", 2);
	length += put_group(body + length, TAG_ROOTFS, inner, n);
	n = put_tlv(inner, TAG_MOUNT_KIND, 0, &one, 4);
	n += put_tlv(inner + n, TAG_TARGET, 0, "/proc", 5);
	length += put_group(body + length, TAG_MOUNT, inner, n);
	n = put_tlv(inner, TAG_BOUNDING, 0, &many, 8);
	m = put_tlv(outer, TAG_ARG, 0, "sh", 2);
	m += put_tlv(outer + m, TAG_CWD, 0, "/", 1);
	m += put_group(outer + m, TAG_CAPABILITIES, inner, n);
	return length + put_group(body + length, TAG_PROCESS, outer, m);
}

/* What passed the check is read in full by the getters, as init and monitor do, to the last byte of every value. */
static unsigned long read_all(struct span body, unsigned depth)
{
	struct tlv tlv;
	unsigned long sum = 0;
	for (struct span rest = body; next_tlv(&rest, &tlv) == 1;) {
		for (uint32_t i = 0; i < tlv.value.length; i++)
			sum += tlv.value.bytes[i];
		sum += get_u32(body, tlv.tag, 0) + (unsigned long)get_u64(body, tlv.tag, 0) + get_span_or_empty(body, tlv.tag).length;
		if (depth < MAX_GROUP_DEPTH)
			sum += read_all(tlv.value, depth + 1);
	}
	return sum;
}

static void test_launches(void)
{
	enum { ROUNDS = 300000 };
	uint8_t whole[2048];
	uint32_t length = build_launch(whole);
	uint16_t tag;
	unsigned taken = 0;
	unsigned long sum = 0;
	check(checked(whole, length, MESSAGE_CREATE_CONTAINER, &tag) == 0, "a launch as a daemon sends it is taken");
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t cut = round % 3 == 0 ? (uint32_t)rand() % length : length;
		uint8_t *exact = malloc(cut + 1);
		memcpy(exact, whole, cut);
		for (unsigned i = 0; cut > 0 && i < round % 4; i++)
			exact[(unsigned)rand() % cut] ^= (uint8_t)(1u << rand() % 8);
		uint8_t *last = realloc(exact, cut == 0 ? 1 : cut);
		bool right = checked(last, cut, MESSAGE_CREATE_CONTAINER, &tag) == 0;
		taken += right;
		if (right)
			sum += read_all((struct span){last, cut}, 0);
		free(last);
	}
	printf("%u mutated launches tried, %u taken and read (%lu)\n", (unsigned)ROUNDS, taken, sum);
	check(taken > ROUNDS / 20 && taken < ROUNDS, "some mutations are harmless");
}

int main(void)
{
	test_schema();
	test_user_namespace();
	test_text();
	test_mutations();
	test_launches();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
