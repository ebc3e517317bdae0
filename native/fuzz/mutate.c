#include "message-tree.h"

#include <stdlib.h>
#include <string.h>

uint32_t next_random(uint32_t *state)
{
	/* xorshift32 */
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static uint32_t below(uint32_t bound, uint32_t *random)
{
	return bound == 0 ? 0 : next_random(random) % bound;
}

static unsigned count_nodes(const struct node *nodes)
{
	unsigned count = 0;
	for (; nodes != NULL; nodes = nodes->next)
		count += 1 + count_nodes(nodes->children);
	return count;
}

/* The link to the node of this number, in depth-first order. */
static struct node **find_link(struct node **link, unsigned *number)
{
	for (; *link != NULL; link = &(*link)->next) {
		if (*number == 0)
			return link;
		--*number;
		struct node **found = find_link(&(*link)->children, number);
		if (found != NULL)
			return found;
	}
	return NULL;
}

static struct node **any_link(struct node **nodes, uint32_t *random)
{
	unsigned number = below(count_nodes(*nodes), random);
	return find_link(nodes, &number);
}

static void set_bytes(struct node *node, uint32_t length, uint32_t *random)
{
	static const char *const beginnings[] = {"", "/", "/a/../..", "..", ".", "a b", "-"};
	uint8_t *bytes = malloc(length + 1);
	if (bytes == NULL)
		abort();
	memset(bytes, (int)('a' + below(26, random)), length);
	const char *beginning = beginnings[below(7, random)];
	size_t copied = strlen(beginning) < length ? strlen(beginning) : length;
	memcpy(bytes, beginning, copied);
	if (length > 0 && below(4, random) == 0)
		bytes[below(length, random)] = (uint8_t)next_random(random);
	free(node->bytes);
	node->bytes = bytes;
	node->length = length;
}

static void change_value(struct node *node, uint32_t *random)
{
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 64, 127, 128, 129, 255, 256, 4095, 4096};
	static const uint64_t numbers[] = {0, 1, 2, 3, 7, 255, 65535, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffffffffffffff};
	if (node->length == 4 || node->length == 8) {
		memcpy(node->bytes, &numbers[below(11, random)], node->length);
		if (below(2, random) == 0)
			return;
	}
	if (node->length > 0 && below(2, random) == 0)
		node->bytes[below(node->length, random)] ^= (uint8_t)(1u << below(8, random));
	else
		set_bytes(node, lengths[below(sizeof lengths / sizeof lengths[0], random)], random);
}

static void lend(struct node *node, const struct sample *other, uint32_t *random)
{
	unsigned number = below(count_nodes(other->nodes), random);
	struct node *root = other->nodes;
	struct node **link = find_link(&root, &number);
	if (link == NULL)
		return;
	struct node alone = **link;
	alone.next = NULL;
	struct node *copy = copy_nodes(&alone);
	copy->next = node->next;
	node->next = copy;
}

static void wrap(struct node *node)
{
	struct node *inner = calloc(1, sizeof *inner);
	if (inner == NULL)
		abort();
	*inner = *node;
	inner->next = NULL;
	node->bytes = calloc(1, 1);
	node->length = 0;
	node->children = inner;
	node->is_group = 1;
}

void mutate(struct sample *sample, const struct sample *other, uint32_t *random)
{
	struct node **link = any_link(&sample->nodes, random);
	if (link == NULL) {
		sample->type = (uint16_t)below(128, random);
		return;
	}
	struct node *node = *link;
	switch (below(10, random)) {
	case 0:
		*link = node->next;
		node->next = NULL;
		free_nodes(node);
		return;
	case 1:
		lend(node, sample, random);
		return;
	case 2:
		lend(node, other, random);
		return;
	case 3:
		node->tag = below(3, random) == 0 ? (uint16_t)next_random(random) : (uint16_t)below(256, random);
		return;
	case 4:
		node->flags ^= below(2, random) == 0 ? 1 : (uint16_t)next_random(random);
		return;
	case 5:
		node->lie = (int32_t)below(17, random) - 8;
		return;
	case 6:
		node->lie = (int32_t)next_random(random);
		return;
	case 7:
		sample->fd_count = (uint8_t)below(5, random);
		return;
	case 8:
		wrap(node);
		return;
	default:
		change_value(node, random);
	}
}
