#include "text.h"

#include <string.h>

struct text text_over(char *buffer, size_t capacity)
{
	struct text text = {.bytes = buffer, .capacity = capacity};
	buffer[0] = 0;
	return text;
}

void text_add_span(struct text *text, struct span span)
{
	size_t room = text->capacity - 1 - text->length;
	size_t length = span.length;
	if (length > room) {
		length = room;
		text->cut = true;
	}
	if (length > 0)
		memcpy(text->bytes + text->length, span.bytes, length);
	text->length += length;
	text->bytes[text->length] = 0;
}

void text_add(struct text *text, const char *string)
{
	text_add_span(text, span_of(string));
}

void text_add_padded(struct text *text, uint64_t number, unsigned digits)
{
	char buffer[24];
	unsigned at = sizeof buffer;
	while (at > 0 && (number > 0 || digits > 0)) {
		buffer[--at] = (char)('0' + number % 10);
		number /= 10;
		if (digits > 0)
			digits--;
	}
	text_add_span(text, (struct span){(const uint8_t *)buffer + at, (uint32_t)(sizeof buffer - at)});
}

void text_add_u64(struct text *text, uint64_t number)
{
	text_add_padded(text, number, 1);
}

struct span span_of(const char *string)
{
	return (struct span){(const uint8_t *)string, (uint32_t)strlen(string)};
}

bool span_equals(struct span a, struct span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

bool span_is(struct span span, const char *string)
{
	return span_equals(span, span_of(string));
}

bool span_to_string(struct span span, char *buffer, size_t capacity)
{
	if (span.length >= capacity)
		return false;
	if (span.length > 0)
		memcpy(buffer, span.bytes, span.length);
	buffer[span.length] = 0;
	return true;
}

bool span_to_u64(struct span span, uint64_t highest, uint64_t *number)
{
	uint64_t sum = 0;
	if (span.length == 0)
		return false;
	for (uint32_t i = 0; i < span.length; i++) {
		uint8_t byte = span.bytes[i];
		if (byte < '0' || byte > '9')
			return false;
		uint64_t digit = (uint64_t)(byte - '0');
		if (sum > (highest - digit) / 10 || digit > highest)
			return false;
		sum = sum * 10 + digit;
	}
	*number = sum;
	return true;
}
