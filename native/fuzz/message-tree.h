/* Messages as trees, for the fuzz tests: read from text, changed at random, written as a body. */
#ifndef BERTH_FUZZ_MESSAGE_TREE_H
#define BERTH_FUZZ_MESSAGE_TREE_H

#include <stddef.h>
#include <stdint.h>

struct node {
	struct node *next;
	/* Of a group. */
	struct node *children;
	uint16_t tag;
	uint16_t flags;
	uint8_t *bytes;
	uint32_t length;
	/* Added to the length that is written: a lie. */
	int32_t lie;
	int is_group;
};

struct sample {
	uint16_t type;
	uint8_t fd_count;
	struct node *nodes;
};

/*
 * A line per value: `type N`, `fds N`, then `TAG u32 N`, `TAG u64 N`, `TAG s WORDS`, `TAG {` … `}`; a tag with `?` behind it is optional.
 * NULL-terminated text; ends the program when it is malformed.
 */
struct sample read_sample(const char *text);
struct node *copy_nodes(const struct node *nodes);
void free_nodes(struct node *nodes);
/* Type, number of fds, body: what try_message() takes. The length, at most `capacity`. */
size_t write_sample(const struct sample *sample, uint8_t *out, size_t capacity);

/* Small, fast, the same everywhere. Not 0. */
uint32_t next_random(uint32_t *state);
/* One change of `sample`; `other` lends parts. */
void mutate(struct sample *sample, const struct sample *other, uint32_t *random);

#endif
