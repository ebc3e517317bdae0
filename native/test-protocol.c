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

int main(void)
{
	test_schema();
	test_text();
	test_mutations();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
