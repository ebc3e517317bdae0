/*
 * test-fuzz [--seed N] [--count N] [--write DIRECTORY] SAMPLE...: the samples of fuzz/corpus as they are, then changed at random, structure
 * and all; the same seed gives the same inputs. With --write the samples as bytes, for libFuzzer to begin with.
 */
#include "fuzz/message-tree.h"
#include "fuzz/try-message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 64, MAX_BYTES = 1 << 16, MAX_CHANGES = 6 };

static struct sample samples[MAX_SAMPLES];
static unsigned sample_count;
static uint8_t bytes[MAX_BYTES];

static void load(const char *path)
{
	static char text[MAX_BYTES];
	FILE *file = fopen(path, "re");
	if (file == NULL || sample_count == MAX_SAMPLES) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(2);
	}
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	samples[sample_count++] = read_sample(text);
}

static void write_seed(const char *directory, unsigned number, size_t length)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%u", directory, number);
	FILE *file = fopen(path, "we");
	if (file == NULL || fwrite(bytes, 1, length, file) != length)
		exit(2);
	fclose(file);
}

int main(int count, char **arguments)
{
	uint32_t seed = 1;
	unsigned long inputs = 1000000;
	const char *directory = NULL;
	for (int i = 1; i < count; i++) {
		if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count)
			seed = (uint32_t)strtoul(arguments[++i], NULL, 0);
		else if (strcmp(arguments[i], "--count") == 0 && i + 1 < count)
			inputs = strtoul(arguments[++i], NULL, 0);
		else if (strcmp(arguments[i], "--write") == 0 && i + 1 < count)
			directory = arguments[++i];
		else
			load(arguments[i]);
	}
	unsigned failed = sample_count == 0;
	for (unsigned i = 0; i < sample_count; i++) {
		size_t length = write_sample(&samples[i], bytes, sizeof bytes);
		if (directory != NULL)
			write_seed(directory, i, length);
		if (try_message(bytes, length) != TAKEN) {
			fprintf(stderr, "sample %u is not taken\n", i);
			failed++;
		}
	}
	unsigned long verdicts[3] = {0};
	uint32_t random = seed == 0 ? 1 : seed;
	for (unsigned long i = 0; sample_count > 0 && directory == NULL && i < inputs; i++) {
		struct sample changed = samples[next_random(&random) % sample_count];
		changed.nodes = copy_nodes(changed.nodes);
		for (unsigned left = 1 + next_random(&random) % MAX_CHANGES; left > 0; left--)
			mutate(&changed, &samples[next_random(&random) % sample_count], &random);
		verdicts[try_message(bytes, write_sample(&changed, bytes, sizeof bytes))]++;
		free_nodes(changed.nodes);
	}
	for (unsigned i = 0; i < sample_count; i++)
		free_nodes(samples[i].nodes);
	printf("%lu inputs of seed %u from %u samples: %lu taken, %lu refused, %lu of no known type\n", verdicts[0] + verdicts[1] + verdicts[2], seed, sample_count,
	       verdicts[TAKEN], verdicts[REFUSED], verdicts[NO_SUCH_TYPE]);
	if (directory == NULL && (verdicts[TAKEN] < inputs / 50 || verdicts[REFUSED] < inputs / 50))
		failed++;
	printf("%u passed, %u failed\n", failed == 0, failed);
	return failed != 0;
}
