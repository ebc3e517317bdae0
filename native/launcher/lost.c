/* A monitor is dead: its containers' processes came to us. They are killed, their exits written down, and the daemon is told. */
#include "../kernel.h"
#include "../exit-record.h"
#include "../kept-record.h"
#include "../memory.h"
#include "../processes.h"
#include "launcher.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>

enum { RETRY_MS = 5, DYING_MS = 5000, KILLED_EXIT_CODE = 128 + SIGKILL };

static bool has_ended(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	return pidfd < 0 || poll(&poll_fd, 1, 0) != 0;
}

static void kill_kept(struct pod *pod)
{
	for (struct kept *kept = pod->kept; kept != NULL; kept = kept->next) {
		if (kept->pidfd >= 0)
			kernel_pidfd_send_signal(kept->pidfd, SIGKILL);
		cgroup_kill(&kept->joins);
	}
}

static void record_exits(struct pod *pod)
{
	int directory_fd = open_pod_directory(pod->id);
	if (directory_fd < 0)
		return;
	for (struct kept *kept = pod->kept; kept != NULL; kept = kept->next) {
		struct exit_facts facts = {
			.exit_code = kept->reaped ? kept->exit_code : KILLED_EXIT_CODE,
			.finished_at_ns = realtime_ns(),
			.pid = (uint32_t)kept->pid,
		};
		write_exit_record(directory_fd, kept->container_id, &facts);
	}
	close(directory_fd);
}

/* Of nested directories the innermost ones are the pod's own, with all in them; those above may be shared. */
static int remove_cgroups(const struct path_list *dirs)
{
	for (const char *path = path_list_next(dirs, NULL); path != NULL; path = path_list_next(dirs, path)) {
		size_t length = strlen(path);
		bool innermost = true;
		for (const char *other = path_list_next(dirs, NULL); other != NULL; other = path_list_next(dirs, other))
			innermost = innermost && !(strncmp(other, path, length) == 0 && other[length] == '/');
		struct path_list one = {(char *)(uintptr_t)path, (uint32_t)length + 1};
		int error = innermost ? cgroup_remove(&one, true) : 0;
		if (error != 0)
			return error;
	}
	return cgroup_remove(dirs, false);
}

int remove_pod_cgroups(struct pod *pod, const struct path_list *more)
{
	struct path_list made = {NULL, 0};
	int directory_fd = open_pod_directory(pod->id);
	if (directory_fd >= 0) {
		read_pod_cgroups(directory_fd, &made);
		close(directory_fd);
	}
	int error = remove_cgroups(&made);
	path_list_free(&made);
	int more_error = remove_cgroups(more);
	return error != 0 ? error : more_error;
}

static void tell_lost(struct pod *pod)
{
	const struct path_list none = {NULL, 0};
	record_exits(pod);
	pod->state = POD_LOST;
	for (struct kept *kept = pod->kept; kept != NULL; kept = kept->next)
		cgroup_remove(&kept->joins, true);
	/* What stays now goes with FORGET_POD. */
	remove_pod_cgroups(pod, &none);
	while (pod->kept != NULL)
		drop_kept(pod, span_of(pod->kept->container_id));
	struct writer *writer = write_message(MESSAGE_EVENT_MONITOR_LOST, 0, HEADER_FLAG_EVENT);
	write_string(writer, TAG_SANDBOX_ID, pod->id);
	send_event(writer);
}

/* True while it wants another tick. May free the pod. */
static bool go_on_unlinked(struct pod *pod)
{
	if (!has_directory(pod)) {
		/* Destroyed as it should be. */
		free_pod(pod);
		return false;
	}
	if (has_ended(pod->pidfd)) {
		pod->state = POD_DYING;
		pod->until_ms = monotonic_ms() + DYING_MS;
		kill_kept(pod);
		return true;
	}
	if (monotonic_ms() < pod->until_ms)
		return true;
	return !adopt_monitor(pod);
}

static bool go_on_dying(struct pod *pod)
{
	bool ended = true;
	for (struct kept *kept = pod->kept; kept != NULL; kept = kept->next)
		ended = ended && has_ended(kept->pidfd);
	if (!ended && monotonic_ms() < pod->until_ms) {
		kill_kept(pod);
		return true;
	}
	/* What is left in its cgroups besides the inits. */
	kill_kept(pod);
	tell_lost(pod);
	return false;
}

static void reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		for (struct pod *pod = launcher.pods; pod != NULL; pod = pod->next)
			for (struct kept *kept = pod->kept; kept != NULL; kept = kept->next)
				if (kept->pid == pid && has_ended(kept->pidfd)) {
					kept->reaped = true;
					kept->exit_code = to_exit_code(status);
				}
}

void on_launcher_tick(void)
{
	struct pod *next;
	bool again = false;
	reap();
	for (struct pod *pod = launcher.pods; pod != NULL; pod = next) {
		next = pod->next;
		if (pod->state == POD_UNLINKED)
			again = go_on_unlinked(pod) || again;
		else if (pod->state == POD_DYING)
			again = go_on_dying(pod) || again;
	}
	connections_rest();
	give_back_stack();
	if (again)
		loop_tick_in(RETRY_MS);
}

void on_launcher_children(struct watch *watch, uint32_t events)
{
	(void)events;
	drain_child_signals(watch->fd);
	reap();
}
