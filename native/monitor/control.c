/* SIGNAL, REMOVE, REOPEN_LOG, RESIZE, LIST, and the removals that take their time. */
#include "../kernel.h"
#include "monitor.h"
#include "oci.h"

#include <sys/ioctl.h>
#include <termios.h>

enum { REMOVE_DEADLINE_MS = 5000, RETRY_MS = 2, MAX_SIGNAL = 64 };

static struct container *container_of(struct message *message)
{
	return find_container(get_span_or_empty(message->body, TAG_CONTAINER_ID));
}

void on_signal(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = container_of(message);
	uint32_t signo = get_u32(message->body, TAG_SIGNO, 0);
	bool all = get_u32(message->body, TAG_ALL, 0) != 0;
	if (container == NULL || signo > MAX_SIGNAL) {
		reply_error(asker, container == NULL ? ENOENT : EINVAL, "signal");
		return;
	}
	if (container->foreign) {
		reply_error(asker, EOPNOTSUPP, "signal");
		return;
	}
	if (container->oci != NULL && signo == SIGKILL && oci_end_doomed(container)) {
		reply_done(asker);
		return;
	}
	if (all && signo == SIGKILL)
		cgroup_kill(&container->joins);
	else if (all)
		cgroup_signal(&container->joins, (int)signo);
	/* Without a cgroup of its own the main process is all that is known. By pidfd: a pid may be another's by now. */
	bool own_cgroup = path_list_next(&container->joins, NULL) != NULL;
	bool sent = container->reaped || (all && own_cgroup && signo != SIGKILL) || kernel_pidfd_send_signal(container->pidfd, (int)signo) == 0;
	if (sent || errno == ESRCH)
		reply_done(asker);
	else
		reply_error(asker, errno, "signal");
}

void on_reopen_log(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = container_of(message);
	struct span index;
	if (container == NULL || container->log.dir_fd < 0) {
		reply_error(asker, ENOENT, "reopen log");
		return;
	}
	int old_dir_fd = -1;
	if (get_span(message->body, TAG_LOG_DIR_FD, &index)) {
		old_dir_fd = container->log.dir_fd;
		container->log.dir_fd = message->fds[to_u32(index)];
	}
	int error = log_open(&container->log);
	if (old_dir_fd >= 0 && error == 0) {
		message->fds[to_u32(index)] = -1;
		close(old_dir_fd);
	} else if (old_dir_fd >= 0) {
		container->log.dir_fd = old_dir_fd;
	}
	if (error == 0) {
		reply_done(asker);
		return;
	}
	struct failure failure = {0};
	fail_at(&failure, error, "open log", container->log.name);
	reply_failure(asker, &failure);
}

void on_resize(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct exec *exec = find_exec(get_span_or_empty(message->body, TAG_EXEC_ID));
	struct container *container = container_of(message);
	uint32_t columns = get_u32(message->body, TAG_COLUMNS, 0);
	uint32_t rows = get_u32(message->body, TAG_ROWS, 0);
	if ((exec == NULL && container == NULL) || columns > UINT16_MAX || rows > UINT16_MAX) {
		reply_error(asker, exec == NULL && container == NULL ? ENOENT : EINVAL, "resize");
		return;
	}
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
	int fd = exec != NULL ? exec->terminal_fd : container->out.watch.fd;
	if (fd < 0 || ioctl(fd, TIOCSWINSZ, &size) != 0)
		reply_error(asker, ENOTTY, "resize");
	else
		reply_done(asker);
}

void on_list(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct writer *writer = begin_reply(asker);
	for (struct container *container = monitor.containers; container != NULL; container = container->next) {
		/* One whose CREATE has not been answered is not there yet; one that is being removed is gone. */
		if (!container->ready || container->removing)
			continue;
		uint32_t group = begin_group(writer, TAG_CONTAINER);
		write_string(writer, TAG_CONTAINER_ID, container->id);
		write_u32(writer, TAG_PID, (uint32_t)container->pid);
		write_u32(writer, TAG_PHASE, container->phase);
		write_u64(writer, TAG_STARTED_AT_NS, container->started_at_ns);
		if (container->phase == PHASE_EXITED) {
			write_u32(writer, TAG_EXIT_CODE, container->exit_code);
			write_u64(writer, TAG_FINISHED_AT_NS, container->finished_at_ns);
			write_u32(writer, TAG_OOM_KILLED, container->oom_killed);
		}
		end_group(writer, group);
	}
	send_reply(asker, writer);
}

void begin_removal(struct container *container)
{
	container->removing = true;
	container->remove_until_ms = monotonic_ms() + REMOVE_DEADLINE_MS;
	if (container->oci != NULL)
		oci_begin_removal(container);
	if (container->pidfd < 0)
		container->reaped = true;
	if (container->reaped)
		return;
	kernel_pidfd_send_signal(container->pidfd, SIGKILL);
	if (!container->own_pid_namespace)
		cgroup_kill(&container->joins);
	else
		cgroup_thaw(&container->joins);
}

void on_remove(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	struct container *container = container_of(message);
	if (container == NULL) {
		reply_done(asker);
		return;
	}
	if (container->removing) {
		reply_error(asker, EALREADY, "remove");
		return;
	}
	container->remover = asker;
	begin_removal(container);
	go_on();
}

static void forget_container(struct container *container)
{
	char path[MAX_ID_BYTES + 8];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "exits/");
	text_add(&text, container->id);
	unlinkat(monitor.directory_fd, path, 0);
	if (container->oci != NULL)
		oci_remove_directory(container);
	tell_drop(container);
	/* Its log and stdin are closed when the reply comes. */
	struct asker remover = container->remover;
	struct failure failure = container->failure;
	free_container(container);
	if (failure.error != 0)
		reply_failure(remover, &failure);
	else
		reply_done(remover);
}

/* False while it has to be tried again. */
static bool go_on_removing(struct container *container)
{
	bool late = monotonic_ms() >= container->remove_until_ms;
	if (container->oci != NULL && !oci_go_on_removing(container) && !late)
		return false;
	int error = container->reaped ? cgroup_remove(&container->made, true) : EBUSY;
	if (error == EBUSY && container->reaped)
		cgroup_kill(&container->joins);
	if (error == 0 || (late && container->failure.error != 0)) {
		forget_container(container);
		return true;
	}
	if (!late)
		return false;
	/* Something does not die, in the kernel most likely: REMOVE may be asked again. */
	reply_error(container->remover, error, container->reaped ? "cgroup rmdir" : "kill");
	container->removing = false;
	return true;
}

/* Whoever counts by cgroups, cAdvisor say, would count it on. What is left in them was killed and may take its time; what stays is REMOVE's. */
static void go_on_clearing(struct container *container)
{
	if (container->clear_until_ms == 0 || container->removing)
		return;
	if (cgroup_remove(&container->made, true) == EBUSY && monotonic_ms() < container->clear_until_ms)
		loop_tick_in(RETRY_MS);
	else
		container->clear_until_ms = 0;
}

void go_on(void)
{
	struct container *next;
	for (struct container *container = monitor.containers; container != NULL; container = next) {
		next = container->next;
		go_on_draining(container);
		go_on_clearing(container);
		if (container->removing && !go_on_removing(container))
			loop_tick_in(RETRY_MS);
	}
	if (monitor.destroying)
		go_on_destroying();
}
