/*
 * What the launcher holds for the case of our death: pidfds to kill by, and read ends of the log pipes, so that no program gets SIGPIPE
 * before it is killed.
 */
#include "../kernel.h"
#include "../kept-record.h"
#include "monitor.h"

void tell_keep(const struct container *container)
{
	struct connection *launcher = find_connection(monitor.launcher);
	/* The keeper of a foreign one outlives us: whoever removes the pod asks it. */
	if (container->phase == PHASE_EXITED || container->foreign)
		return;
	write_kept_record(monitor.directory_fd, container->id, container->pid, &container->joins);
	if (launcher == NULL)
		return;
	struct writer *writer = write_message(MESSAGE_KEEP, 0, 0);
	write_string(writer, TAG_CONTAINER_ID, container->id);
	write_u32(writer, TAG_PID, (uint32_t)container->pid);
	for (const char *path = path_list_next(&container->joins, NULL); path != NULL; path = path_list_next(&container->joins, path))
		write_string(writer, TAG_CGROUP_JOIN, path);
	if (container->pidfd >= 0)
		write_fd(writer, TAG_PIDFD_FD, container->pidfd);
	if (container->out.watch.fd >= 0)
		write_fd(writer, TAG_LOG_PIPE_FD, container->out.watch.fd);
	if (container->err.watch.fd >= 0)
		write_fd(writer, TAG_LOG_PIPE_FD, container->err.watch.fd);
	send_message(launcher, writer);
}

void tell_drop(const struct container *container)
{
	struct connection *launcher = find_connection(monitor.launcher);
	remove_kept_record(monitor.directory_fd, container->id);
	if (launcher == NULL)
		return;
	struct writer *writer = write_message(MESSAGE_DROP, 0, 0);
	write_string(writer, TAG_CONTAINER_ID, container->id);
	send_message(launcher, writer);
}

void on_adopt(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	if (connection->role != ROLE_LAUNCHER) {
		reply_error(asker, EPERM, "adopt");
		return;
	}
	monitor.launcher = connection->number;
	reply_done(asker);
	for (struct container *container = monitor.containers; container != NULL; container = container->next)
		tell_keep(container);
}
