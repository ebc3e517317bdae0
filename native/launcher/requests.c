/* CREATE_MONITOR, LIST_MONITORS, FORGET_POD, SHUTDOWN from daemons; KEEP, DROP and answers from monitors. */
#include "../kernel.h"
#include "../monitor/monitor.h"
#include "../pod-directory.h"
#include "../processes.h"
#include "launcher.h"

#include <sys/socket.h>

static int clone_monitor(struct pod *pod, struct message *message, struct failure *failure)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return fail(failure, errno, "socketpair");
	pid_t pid = kernel_clone(0, &pod->pidfd);
	if (pid == 0) {
		close_other_fds(&pair[1], 1);
		/* The end of the service is not the end of its pods. */
		signal(SIGTERM, SIG_IGN);
		run_monitor(message->body, launcher.pods_directory, pair[1]);
	}
	int error = errno;
	close(pair[1]);
	struct connection *connection = pid > 0 ? add_connection(pair[0]) : NULL;
	if (connection == NULL) {
		close(pair[0]);
		if (pid > 0)
			kernel_pidfd_send_signal(pod->pidfd, SIGKILL);
		return fail(failure, pid > 0 ? ENOMEM : error, "clone monitor");
	}
	connection->said_hello = true;
	connection->role = ROLE_MONITOR;
	pod->link = connection->number;
	pod->pid = pid;
	return 0;
}

static void on_create_monitor(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct span id = get_span_or_empty(message->body, TAG_SANDBOX_ID);
	struct failure failure = {0};
	struct pod *pod = find_pod(id);
	if (pod != NULL && (is_alive(pod) || pod->state == POD_DYING)) {
		reply_error(asker, EEXIST, "create monitor");
		return;
	}
	if (pod != NULL)
		free_pod(pod);
	pod = add_pod(id);
	if (pod == NULL) {
		reply_error(asker, ENOMEM, "create monitor");
		return;
	}
	pod->state = POD_STARTING;
	pod->asker = asker;
	if (clone_monitor(pod, message, &failure) == 0)
		return;
	reply_failure(asker, &failure);
	free_pod(pod);
}

static void on_list_monitors(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct writer *writer = begin_reply(asker);
	for (struct pod *pod = launcher.pods; pod != NULL; pod = pod->next) {
		if (pod->state == POD_STARTING || !is_alive(pod))
			continue;
		uint32_t group = begin_group(writer, TAG_MONITOR);
		write_string(writer, TAG_SANDBOX_ID, pod->id);
		write_u32(writer, TAG_PID, (uint32_t)pod->pid);
		end_group(writer, group);
	}
	send_reply(asker, writer);
}

static void on_forget_pod(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct span id = get_span_or_empty(message->body, TAG_SANDBOX_ID);
	struct pod *pod = find_pod(id);
	if (pod != NULL && (is_alive(pod) || pod->state == POD_DYING)) {
		reply_error(asker, EBUSY, "forget pod");
		return;
	}
	if (pod == NULL)
		pod = add_pod(id);
	if (pod == NULL) {
		reply_error(asker, ENOMEM, "forget pod");
		return;
	}
	pod->state = POD_LOST;
	struct path_list dirs = {NULL, 0};
	struct span cgroup = get_span_or_empty(message->body, TAG_CGROUP);
	struct span directory;
	while (next_with_tag(&cgroup, TAG_CGROUP_DIR, &directory))
		path_list_add(&dirs, directory);
	int error = remove_pod_cgroups(pod, &dirs);
	path_list_free(&dirs);
	if (error != 0) {
		reply_error(asker, error, "cgroup rmdir");
		return;
	}
	int fd = open_pod_directory(pod->id);
	if (fd >= 0) {
		clear_pod_directory(fd);
		close(fd);
	}
	error = unlinkat(launcher.pods_fd, pod->id, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
	free_pod(pod);
	if (error == 0)
		reply_done(asker);
	else
		reply_error(asker, error, "remove run directory");
}

static void on_shutdown(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	for (struct pod *pod = launcher.pods; pod != NULL; pod = pod->next)
		if (is_alive(pod) || pod->state == POD_DYING) {
			reply_error(asker, EBUSY, "shutdown");
			return;
		}
	reply_done(asker);
	loop_stop();
}

/* How a monitor's set-up went: passed on to who asked for it. */
static void on_monitor_answer(struct pod *pod, struct message *message)
{
	struct asker asker = pod->asker;
	pod->asker.connection = 0;
	if (message->header.status == 0)
		pod->state = POD_ALIVE;
	struct writer *writer = begin_reply(asker);
	if (writer != NULL) {
		struct tlv tlv;
		writer->header.status = message->header.status;
		while (next_tlv(&message->body, &tlv) == 1)
			write_bytes(writer, tlv.tag, tlv.value);
		send_reply(asker, writer);
	}
	if (message->header.status != 0)
		free_pod(pod);
}

static void on_monitor_message(struct connection *connection, struct pod *pod, struct message *message)
{
	switch (message->header.type) {
	case MESSAGE_CREATE_MONITOR:
		if (pod->state == POD_STARTING)
			on_monitor_answer(pod, message);
		return;
	case MESSAGE_HELLO:
		send_message(connection, write_message(MESSAGE_ADOPT, 2, 0));
		return;
	case MESSAGE_KEEP:
		on_keep(pod, message);
		return;
	case MESSAGE_DROP:
		drop_kept(pod, get_span_or_empty(message->body, TAG_CONTAINER_ID));
		return;
	default:
		return;
	}
}

void on_launcher_message(struct connection *connection, struct message *message)
{
	struct pod *pod = find_pod_by_link(connection->number);
	loop_tick_in(REST_AFTER_MS);
	if (pod != NULL) {
		on_monitor_message(connection, pod, message);
		return;
	}
	if (message->header.flags & HEADER_FLAG_REPLY)
		return;
	switch (message->header.type) {
	case MESSAGE_CREATE_MONITOR:
		on_create_monitor(connection, message);
		return;
	case MESSAGE_LIST_MONITORS:
		on_list_monitors(connection, message);
		return;
	case MESSAGE_FORGET_POD:
		on_forget_pod(connection, message);
		return;
	case MESSAGE_SHUTDOWN:
		on_shutdown(connection, message);
		return;
	default:
		reply_error(asker_of(connection, message), ENOSYS, "launcher");
	}
}
