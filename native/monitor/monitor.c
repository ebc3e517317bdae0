/* The monitor of one pod: cloned by the launcher, holds the pod's namespaces, parent of its containers. */
#include "../kernel.h"
#include "../memory.h"
#include "../processes.h"
#include "monitor.h"
#include "oci.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct monitor monitor;

static const struct {
	uint16_t type;
	void (*handle)(struct connection *connection, struct message *message);
} handlers[] = {
	{MESSAGE_CREATE_CONTAINER, on_create},
	{MESSAGE_START, on_start},
	{MESSAGE_SIGNAL, on_signal},
	{MESSAGE_REMOVE, on_remove},
	{MESSAGE_REOPEN_LOG, on_reopen_log},
	{MESSAGE_LIST, on_list},
	{MESSAGE_EXEC, on_exec},
	{MESSAGE_EXEC_KILL, on_exec_kill},
	{MESSAGE_RESIZE, on_resize},
	{MESSAGE_ATTACH, on_attach},
	{MESSAGE_DETACH, on_detach},
	{MESSAGE_CLOSE_STDIN, on_close_stdin},
	{MESSAGE_DESTROY, on_destroy},
	{MESSAGE_ADOPT, on_adopt},
	{MESSAGE_CREATE_FOREIGN, on_create_foreign},
	{MESSAGE_FOREIGN_STARTED, on_foreign_started},
	{MESSAGE_FOREIGN_EXITED, on_foreign_exited},
};

static void on_message(struct connection *connection, struct message *message)
{
	loop_tick_in(REST_AFTER_MS);
	if (message->header.flags & HEADER_FLAG_REPLY)
		return;
	for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (handlers[i].type == message->header.type) {
			handlers[i].handle(connection, message);
			return;
		}
	reply_error(asker_of(connection, message), ENOSYS, "monitor");
}

static void on_close(struct connection *connection)
{
	hang_up_execs(connection->number);
	detach_connection(connection->number);
	if (connection->number == monitor.launcher)
		monitor.launcher = 0;
}

static void on_tick(void)
{
	oci_check_deadlines();
	go_on();
	log_rest();
	connections_rest();
	give_back_stack();
}

static int open_directory(struct span body, const char *pods_directory, struct failure *failure)
{
	struct span id = get_span_or_empty(body, TAG_SANDBOX_ID);
	span_to_string(id, monitor.sandbox_id, sizeof monitor.sandbox_id);
	struct text text = text_over(monitor.directory, sizeof monitor.directory);
	text_add(&text, pods_directory);
	text_add(&text, "/");
	text_add_span(&text, id);
	struct text shm = text_over(monitor.shm_path, sizeof monitor.shm_path);
	text_add(&shm, monitor.directory);
	text_add(&shm, "/shm");
	if (text.cut)
		return fail_at(failure, ENAMETOOLONG, "mkdir", monitor.directory);
	if (mkdir(monitor.directory, 0700) != 0 && errno != EEXIST)
		return fail_at(failure, errno, "mkdir", monitor.directory);
	monitor.directory_fd = open(monitor.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return monitor.directory_fd >= 0 ? 0 : fail_at(failure, errno, "open", monitor.directory);
}

static int set_up(struct span body, const char *pods_directory, struct failure *failure)
{
	static const struct endpoint endpoint = {ROLE_MONITOR, monitor.sandbox_id, on_message, on_close};
	prctl(PR_SET_NAME, "berth-monitor", 0, 0, 0);
	/* Orphans of containers without a PID namespace of their own come to us, not to the host's init. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	setsid();
	if (loop_open() != 0)
		return fail(failure, errno, "epoll");
	connections_begin(&endpoint);
	loop_set_tick(on_tick);
	int signals_fd = open_child_signals();
	if (signals_fd < 0 || loop_watch(&monitor.children, signals_fd, EPOLLIN, on_children) != 0)
		return fail(failure, errno, "signalfd");
	if (open_directory(body, pods_directory, failure) != 0 || set_up_pod(body, failure) != 0)
		return -1;
	return listen_in(monitor.directory_fd, "monitor.sock", &monitor.listener, failure);
}

static void undo(void)
{
	if (monitor.pod_init > 0)
		kernel_pidfd_send_signal(monitor.pod_init_pidfd, SIGKILL);
	cgroup_remove(&monitor.made, false);
	if (monitor.directory_fd >= 0)
		clear_pod();
}

_Noreturn void run_monitor(struct span body, const char *pods_directory, int link_fd)
{
	struct failure failure = {0};
	memset(&monitor, 0, sizeof monitor);
	monitor.directory_fd = monitor.pod_init_pidfd = monitor.listener.fd = monitor.children.fd = monitor.user_namespace.fd = -1;
	int result = set_up(body, pods_directory, &failure);
	struct connection *launcher = add_connection(link_fd);
	if (launcher == NULL)
		_exit(1);
	launcher->said_hello = true;
	launcher->role = ROLE_LAUNCHER;
	monitor.launcher = launcher->number;
	struct asker asker = {launcher->number, 0, MESSAGE_CREATE_MONITOR};
	if (result != 0) {
		undo();
		reply_failure(asker, &failure);
		_exit(1);
	}
	struct writer *writer = begin_reply(asker);
	write_u32(writer, TAG_PID, (uint32_t)getpid());
	send_reply(asker, writer);
	loop_run();
	_exit(0);
}
