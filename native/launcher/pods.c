/* The pods that the launcher knows, and the links to their monitors. */
#include "../kernel.h"
#include "../pod-directory.h"
#include "launcher.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A link that broke while the monitor goes on is made anew after this. */
enum { RELINK_AFTER_MS = 200, RETRY_MS = 5, DYING_MS = 5000 };

struct pod *find_pod(struct span id)
{
	struct pod *pod = launcher.pods;
	while (pod != NULL && !span_is(id, pod->id))
		pod = pod->next;
	return pod;
}

struct pod *find_pod_by_link(uint32_t link)
{
	struct pod *pod = launcher.pods;
	while (pod != NULL && pod->link != link)
		pod = pod->next;
	return pod;
}

struct pod *add_pod(struct span id)
{
	struct pod *pod = calloc(1, sizeof *pod);
	if (pod == NULL || !span_to_string(id, pod->id, sizeof pod->id)) {
		free(pod);
		return NULL;
	}
	pod->pidfd = -1;
	pod->next = launcher.pods;
	launcher.pods = pod;
	return pod;
}

void free_pod(struct pod *pod)
{
	struct pod **link = &launcher.pods;
	while (*link != pod)
		link = &(*link)->next;
	*link = pod->next;
	while (pod->kept != NULL)
		drop_kept(pod, span_of(pod->kept->container_id));
	if (pod->pidfd >= 0)
		close(pod->pidfd);
	free(pod);
}

int open_pod_directory(const char *id)
{
	return openat(launcher.pods_fd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool has_directory(const struct pod *pod)
{
	return faccessat(launcher.pods_fd, pod->id, F_OK, 0) == 0;
}

bool is_alive(const struct pod *pod)
{
	if (pod->state == POD_STARTING)
		return true;
	return (pod->state == POD_ALIVE || pod->state == POD_UNLINKED) && has_directory(pod);
}

bool adopt_monitor(struct pod *pod)
{
	struct {
		pid_t pid;
		uid_t uid;
		gid_t gid;
	} peer;
	socklen_t length = sizeof peer;
	int directory_fd = open_pod_directory(pod->id);
	int fd = directory_fd < 0 ? -1 : connect_in(directory_fd, "monitor.sock");
	if (directory_fd >= 0)
		close(directory_fd);
	if (fd < 0)
		return false;
	struct connection *connection = NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		connection = add_connection(fd);
	if (connection == NULL) {
		close(fd);
		return false;
	}
	if (pod->pidfd < 0)
		pod->pidfd = kernel_pidfd_open(peer.pid);
	pod->pid = peer.pid;
	pod->link = connection->number;
	pod->state = POD_ALIVE;
	greet(connection);
	return true;
}

void adopt_monitors(void)
{
	int fd = openat(launcher.pods_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		struct pod *pod = add_pod(span_of(entry->d_name));
		if (pod == NULL || adopt_monitor(pod))
			continue;
		/* It died while there was no launcher: its containers run without a keeper. The tick kills them and tells of it; the directory
		 * stays for the daemon, which reads the exit records and asks FORGET_POD. */
		pod->state = POD_DYING;
		pod->until_ms = monotonic_ms() + DYING_MS;
		read_kept(pod);
		loop_tick_in(RETRY_MS);
	}
	if (listing != NULL)
		closedir(listing);
}

/* The monitor ended, or something broke the link: the tick finds out which. */
void on_link_closed(struct connection *connection)
{
	struct pod *pod = find_pod_by_link(connection->number);
	if (pod == NULL)
		return;
	pod->link = 0;
	if (pod->state == POD_STARTING) {
		reply_error(pod->asker, ECHILD, "start monitor");
		int fd = open_pod_directory(pod->id);
		if (fd >= 0) {
			clear_pod_directory(fd);
			close(fd);
		}
		unlinkat(launcher.pods_fd, pod->id, AT_REMOVEDIR);
		free_pod(pod);
		return;
	}
	pod->state = POD_UNLINKED;
	pod->until_ms = monotonic_ms() + RELINK_AFTER_MS;
	loop_tick_in(RETRY_MS);
}
