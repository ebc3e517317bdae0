/* KEEP and DROP: what monitors leave with the launcher. */
#include "../kernel.h"
#include "../kept-record.h"
#include "launcher.h"

#include <dirent.h>
#include <stdlib.h>

void drop_kept(struct pod *pod, struct span container_id)
{
	struct kept **link = &pod->kept;
	while (*link != NULL && !span_is(container_id, (*link)->container_id))
		link = &(*link)->next;
	struct kept *kept = *link;
	if (kept == NULL)
		return;
	*link = kept->next;
	if (kept->pidfd >= 0)
		close(kept->pidfd);
	for (unsigned i = 0; i < MAX_LOG_PIPES; i++)
		if (kept->log_pipes[i] >= 0)
			close(kept->log_pipes[i]);
	path_list_free(&kept->joins);
	free(kept);
}

static int take_fd(struct message *message, struct span index)
{
	int *fd = &message->fds[to_u32(index)];
	int taken = *fd;
	*fd = -1;
	return taken;
}

void on_keep(struct pod *pod, struct message *message)
{
	struct span id = get_span_or_empty(message->body, TAG_CONTAINER_ID);
	struct kept *kept = calloc(1, sizeof *kept);
	struct span rest = message->body;
	struct span index;
	if (kept == NULL)
		return;
	drop_kept(pod, id);
	span_to_string(id, kept->container_id, sizeof kept->container_id);
	kept->pid = (pid_t)get_u32(message->body, TAG_PID, 0);
	kept->pidfd = get_span(message->body, TAG_PIDFD_FD, &index) ? take_fd(message, index) : -1;
	for (unsigned i = 0; i < MAX_LOG_PIPES; i++)
		kept->log_pipes[i] = next_with_tag(&rest, TAG_LOG_PIPE_FD, &index) ? take_fd(message, index) : -1;
	cgroup_joins(message->body, &kept->joins);
	kept->next = pod->kept;
	pod->kept = kept;
}

static void read_one(struct pod *pod, int directory_fd, const char *container_id)
{
	struct kept *kept = calloc(1, sizeof *kept);
	if (kept == NULL || !span_to_string(span_of(container_id), kept->container_id, sizeof kept->container_id)) {
		free(kept);
		return;
	}
	for (unsigned i = 0; i < MAX_LOG_PIPES; i++)
		kept->log_pipes[i] = -1;
	kept->pidfd = read_kept_record(directory_fd, container_id, &kept->pid, &kept->joins);
	kept->next = pod->kept;
	pod->kept = kept;
}

void read_kept(struct pod *pod)
{
	int directory_fd = open_pod_directory(pod->id);
	int fd = directory_fd < 0 ? -1 : openat(directory_fd, "live", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL)
		if (entry->d_name[0] != '.')
			read_one(pod, directory_fd, entry->d_name);
	if (listing != NULL)
		closedir(listing);
	else if (fd >= 0)
		close(fd);
	if (directory_fd >= 0)
		close(directory_fd);
}
