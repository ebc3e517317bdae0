#include "kernel.h"
#include "exit-record.h"
#include "protocol.h"
#include "text.h"

#include <stdio.h>

static void name_record(char *path, size_t capacity, const char *before, const char *container_id)
{
	struct text text = text_over(path, capacity);
	text_add(&text, "exits/");
	text_add(&text, before);
	text_add(&text, container_id);
}

void write_exit_record(int pod_directory_fd, const char *container_id, const struct exit_facts *facts)
{
	char line[128];
	char path[MAX_ID_BYTES + 16];
	char temporary[MAX_ID_BYTES + 16];
	const uint64_t numbers[] = {EXIT_RECORD_FORMAT, facts->exit_code, facts->finished_at_ns, facts->oom_killed, facts->started_at_ns, facts->pid};
	struct text text = text_over(line, sizeof line);
	for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		text_add(&text, i == 0 ? "" : " ");
		text_add_u64(&text, numbers[i]);
	}
	text_add(&text, "\n");
	name_record(path, sizeof path, "", container_id);
	/* No id starts with a dot. */
	name_record(temporary, sizeof temporary, ".", container_id);
	int fd = openat(pod_directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	bool whole = write(fd, line, text.length) == (ssize_t)text.length;
	close(fd);
	if (whole)
		renameat(pod_directory_fd, temporary, pod_directory_fd, path);
	else
		unlinkat(pod_directory_fd, temporary, 0);
}
