/* Exit records on disk, see enum exit_record in protocol.h. */
#ifndef BERTH_EXIT_RECORD_H
#define BERTH_EXIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

struct exit_facts {
	uint32_t exit_code;
	bool oom_killed;
	uint64_t started_at_ns;
	uint64_t finished_at_ns;
	uint32_t pid;
};

/* exits/<container id> in the pod's directory: whole or not there, by rename. The directory is on tmpfs, so nothing is synced. */
void write_exit_record(int pod_directory_fd, const char *container_id, const struct exit_facts *facts);

#endif
