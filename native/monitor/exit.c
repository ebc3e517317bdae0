/* Ends: children are reaped, what they left is drained and killed, the exit is written down and told. */
#include "../kernel.h"
#include "../exit-record.h"
#include "../processes.h"
#include "monitor.h"
#include "oci.h"

#include <sys/wait.h>

static void record_exit(const struct container *container)
{
	struct exit_facts facts = {
		.exit_code = container->exit_code,
		.oom_killed = container->oom_killed,
		.started_at_ns = container->started_at_ns,
		.finished_at_ns = container->finished_at_ns,
		.pid = (uint32_t)container->pid,
	};
	write_exit_record(monitor.directory_fd, container->id, &facts);
}

static void tell_exit(const struct container *container)
{
	struct writer *writer = write_message(MESSAGE_EVENT_EXITED, 0, HEADER_FLAG_EVENT);
	write_string(writer, TAG_CONTAINER_ID, container->id);
	write_u32(writer, TAG_EXIT_CODE, container->exit_code);
	write_u64(writer, TAG_FINISHED_AT_NS, container->finished_at_ns);
	write_u32(writer, TAG_OOM_KILLED, container->oom_killed);
	send_event(writer);
}

enum { CLEAR_MS = 2000 };

void tell_exited(struct container *container)
{
	record_exit(container);
	tell_exit(container);
	tell_drop(container);
	container->clear_until_ms = monotonic_ms() + CLEAR_MS;
}

void container_exited(struct container *container, uint32_t exit_code)
{
	/* How the exec went is still in the socket when the program was quick. */
	end_control(container);
	container->reaped = true;
	container->phase = PHASE_EXITED;
	container->exit_code = exit_code;
	container->finished_at_ns = realtime_ns();
	/* Before the binary that started it has ended. */
	if (container->oci != NULL && container->oci->step == OCI_STARTING)
		container->started_at_ns = container->oci->start_asked_ns;
	/* The end of its own PID namespace has ended all in it already. */
	if (!container->own_pid_namespace)
		cgroup_kill(&container->joins);
	stream_finish(&container->out);
	stream_finish(&container->err);
	end_lost_execs(container->id);
	container->oom_killed = cgroup_oom_killed(&container->joins);
	if (!container->removing)
		tell_exited(container);
	/* After the exit was told: who hears of the end may ask for the exit code. */
	end_attachments(container);
}

static void process_exited(struct container *container, pid_t pid, uint32_t exit_code)
{
	if (container->oci == NULL)
		read_control(container);
	/* The one that set up; another has gone inside in its place. */
	if (container->pid != pid)
		return;
	/* The same, but the other has not told yet. It has the socket. */
	if (container->oci == NULL && !container->ready && container->control.fd >= 0)
		container->reaped = true;
	else
		container_exited(container, exit_code);
}

bool is_known(pid_t pid)
{
	for (struct container *container = monitor.containers; container != NULL; container = container->next)
		if (container->pid == pid && !container->reaped)
			return true;
	for (struct exec *exec = monitor.execs; exec != NULL; exec = exec->next)
		if (exec->pid == pid)
			return true;
	return pid == monitor.pod_init;
}

static void child_exited(pid_t pid, uint32_t exit_code)
{
	for (struct container *container = monitor.containers; container != NULL; container = container->next)
		if (container->pid == pid && !container->reaped) {
			container->foreign ? foreign_looked_up(container) : process_exited(container, pid, exit_code);
			return;
		}
	for (struct exec *exec = monitor.execs; exec != NULL; exec = exec->next)
		if (exec->pid == pid) {
			exec_exited(exec, pid, exit_code);
			return;
		}
	if (pid == monitor.pod_init)
		monitor.pod_init = 0;
	else
		oci_child_exited(pid, exit_code);
	/* Else an orphan that came to us as subreaper. */
}

/* The next dead child, still to be reaped; 0: none. */
static pid_t next_dead(void)
{
	siginfo_t info = {0};
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ? info.si_pid : 0;
}

void on_children(struct watch *watch, uint32_t events)
{
	(void)events;
	int status;
	pid_t pid;
	loop_tick_in(REST_AFTER_MS);
	drain_child_signals(watch->fd);
	while ((pid = next_dead()) > 0) {
		/* One that was quick has told that it went inside, and can be seen to be ours as long as it is not reaped. */
		if (!is_known(pid)) {
			read_controls();
			read_exec_controls();
		}
		if (waitpid(pid, &status, __WALL) == pid)
			child_exited(pid, to_exit_code(status));
	}
	go_on();
}
