/* Small text building without stdio, which would cost every monitor pages of its own. */
#ifndef BERTH_TEXT_H
#define BERTH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of text or bytes that lies elsewhere; not terminated. */
struct span {
	const uint8_t *bytes;
	uint32_t length;
};

/* Text under construction; never overruns, `cut` tells that something did not fit. Always NUL-terminated. */
struct text {
	char *bytes;
	size_t capacity;
	size_t length;
	bool cut;
};

struct text text_over(char *buffer, size_t capacity);
void text_add(struct text *text, const char *string);
void text_add_span(struct text *text, struct span span);
void text_add_u64(struct text *text, uint64_t number);
/* With leading zeros, `digits` wide. */
void text_add_padded(struct text *text, uint64_t number, unsigned digits);

struct span span_of(const char *string);
bool span_equals(struct span a, struct span b);
bool span_is(struct span span, const char *string);
/* The span as a string in `buffer`; false when it does not fit. */
bool span_to_string(struct span span, char *buffer, size_t capacity);
/* Decimal digits only, at most `highest`; false else. */
bool span_to_u64(struct span span, uint64_t highest, uint64_t *number);

#endif
