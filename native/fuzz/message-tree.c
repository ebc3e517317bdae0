#include "message-tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static struct node *new_node(uint16_t tag, const void *bytes, size_t length)
{
	struct node *node = must(calloc(1, sizeof *node));
	node->tag = tag;
	node->bytes = must(malloc(length + 1));
	if (length > 0)
		memcpy(node->bytes, bytes, length);
	node->length = (uint32_t)length;
	return node;
}

static struct node *read_value(uint16_t tag, const char *value)
{
	if (strncmp(value, "u32 ", 4) == 0) {
		uint32_t number = (uint32_t)strtoull(value + 4, NULL, 0);
		return new_node(tag, &number, sizeof number);
	}
	if (strncmp(value, "u64 ", 4) == 0) {
		uint64_t number = strtoull(value + 4, NULL, 0);
		return new_node(tag, &number, sizeof number);
	}
	if (strncmp(value, "s ", 2) == 0)
		return new_node(tag, value + 2, strlen(value + 2));
	fprintf(stderr, "not a value: %s\n", value);
	exit(2);
}

/* Up to the end, or to the line that closes the group. */
static struct node *read_nodes(char **rest, struct sample *sample)
{
	struct node *first = NULL;
	struct node **end = &first;
	char *line;
	while ((line = strsep(rest, "\n")) != NULL) {
		line += strspn(line, "\t ");
		if (*line == 0 || *line == '#')
			continue;
		if (*line == '}')
			break;
		char *value;
		if (strncmp(line, "type ", 5) == 0) {
			sample->type = (uint16_t)atoi(line + 5);
			continue;
		}
		if (strncmp(line, "fds ", 4) == 0) {
			sample->fd_count = (uint8_t)atoi(line + 4);
			continue;
		}
		uint16_t tag = (uint16_t)strtoul(line, &value, 10);
		uint16_t flags = *value == '?' ? 1 : 0;
		value += flags + strspn(value + flags, " ");
		if (*value == '{') {
			*end = new_node(tag, "", 0);
			(*end)->is_group = 1;
			(*end)->children = read_nodes(rest, sample);
		} else {
			*end = read_value(tag, value);
		}
		(*end)->flags = flags;
		end = &(*end)->next;
	}
	return first;
}

struct sample read_sample(const char *text)
{
	struct sample sample = {0};
	char *copy = must(strdup(text));
	char *rest = copy;
	sample.nodes = read_nodes(&rest, &sample);
	free(copy);
	return sample;
}

struct node *copy_nodes(const struct node *nodes)
{
	struct node *first = NULL;
	struct node **end = &first;
	for (; nodes != NULL; nodes = nodes->next) {
		*end = new_node(nodes->tag, nodes->bytes, nodes->length);
		(*end)->flags = nodes->flags;
		(*end)->is_group = nodes->is_group;
		(*end)->children = copy_nodes(nodes->children);
		end = &(*end)->next;
	}
	return first;
}

void free_nodes(struct node *nodes)
{
	while (nodes != NULL) {
		struct node *next = nodes->next;
		free_nodes(nodes->children);
		free(nodes->bytes);
		free(nodes);
		nodes = next;
	}
}

static void put(uint8_t *out, size_t at, size_t capacity, const void *bytes, size_t length)
{
	if (at <= capacity && length > 0 && length <= capacity - at)
		memcpy(out + at, bytes, length);
}

/* The length that it takes, also where that is beyond `capacity`. */
static size_t write_nodes(const struct node *nodes, uint8_t *out, size_t at, size_t capacity)
{
	size_t start = at;
	for (; nodes != NULL; nodes = nodes->next) {
		size_t header = at;
		at += 8;
		if (nodes->is_group) {
			at += write_nodes(nodes->children, out, at, capacity);
		} else {
			put(out, at, capacity, nodes->bytes, nodes->length);
			at += nodes->length;
		}
		uint32_t length = (uint32_t)(at - header - 8) + (uint32_t)nodes->lie;
		put(out, header, capacity, &nodes->tag, 2);
		put(out, header + 2, capacity, &nodes->flags, 2);
		put(out, header + 4, capacity, &length, 4);
	}
	return at - start;
}

size_t write_sample(const struct sample *sample, uint8_t *out, size_t capacity)
{
	put(out, 0, capacity, &sample->type, 2);
	put(out, 2, capacity, &sample->fd_count, 1);
	size_t length = 3 + write_nodes(sample->nodes, out, 3, capacity);
	return length < capacity ? length : capacity;
}
