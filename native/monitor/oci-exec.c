/* EXEC in a container of an OCI runtime: the binary starts the process and ends; the process is ours then. */
#include "../kernel.h"
#include "../cgroup.h"
#include "../processes.h"
#include "oci.h"

#include <stdlib.h>
#include <string.h>

static int fd_of(struct message *message, uint16_t tag)
{
	struct span value;
	return get_span(message->body, tag, &value) ? message->fds[to_u32(value)] : -1;
}

void oci_free_exec(struct oci_exec *oci)
{
	if (oci == NULL)
		return;
	oci_call_forget(&oci->call);
	free(oci);
}

static void kill_process(const struct exec *exec)
{
	struct container *container = find_container(span_of(exec->container_id));
	if (exec->pid <= 1)
		return;
	kill_tree(exec->pid);
	/* What was orphaned on the way is the container's init's child now, but still of the exec's session. */
	if (container != NULL)
		cgroup_kill_session(&container->joins, exec->pid);
}

void oci_kill_exec(struct exec *exec)
{
	exec->oci->killed = true;
	oci_call_kill(&exec->oci->call);
	kill_process(exec);
}

/* True when the process has been taken over. */
static bool take_over(struct exec *exec, const struct oci *oci, uint32_t *ended_with, bool *has_ended)
{
	exec->pid = oci_read_pid(oci, &exec->oci->call);
	if (exec->pid <= 1)
		return false;
	*has_ended = oci_take_exit(exec->pid, ended_with);
	return true;
}

static void on_ended(struct oci_call *call, uint32_t exit_code)
{
	struct oci_exec *own = (struct oci_exec *)(void *)((char *)call - offsetof(struct oci_exec, call));
	struct exec *exec = own->exec;
	struct container *container = find_container(span_of(exec->container_id));
	struct failure failure = {0};
	bool has_ended = false;
	uint32_t ended_with = 0;
	int terminal_fd = oci_console_finish(&call->console);
	if (container == NULL || container->oci == NULL)
		fail(&failure, ESRCH, "enter container");
	else if (exit_code != 0 || call->timed_out)
		oci_explain(container->oci, call, "exec", own->program, &failure);
	else if (!take_over(exec, container->oci, &ended_with, &has_ended))
		fail_at(&failure, ESRCH, "runtime exec", "it wrote down no process");
	if (container != NULL && container->oci != NULL)
		oci_unlink_files(container->oci, call);
	if (failure.error != 0) {
		if (terminal_fd >= 0)
			close(terminal_fd);
		reply_failure(exec->asker, &failure);
		free_exec(exec);
		return;
	}
	exec->terminal_fd = terminal_fd;
	answer_exec(exec);
	if (has_ended)
		exec_exited(exec, exec->pid, ended_with);
	else if (own->killed)
		kill_process(exec);
}

static int begin(struct exec *exec, const struct container *container, struct message *message, struct failure *failure)
{
	struct oci_exec *own = exec->oci;
	const struct oci *oci = container->oci;
	bool terminal = get_u32(get_span_or_empty(message->body, TAG_PROCESS), TAG_TTY, 0) != 0;
	char files[3][sizeof own->call.name + 8];
	static const char *const suffixes[] = {".json", ".pid", ".sock"};
	struct text name = text_over(own->call.name, sizeof own->call.name);
	text_add(&name, "exec-");
	text_add(&name, exec->id);
	for (unsigned i = 0; i < 3; i++) {
		struct text file = text_over(files[i], sizeof files[i]);
		text_add(&file, own->call.name);
		text_add(&file, suffixes[i]);
	}
	const char *const words[] = {
		"exec", "--detach", "--process", files[0], "--pid-file", files[1], terminal ? "--console-socket" : container->id, terminal ? files[2] : NULL, container->id, NULL,
	};
	struct oci_set_up_job job = {.oci = oci, .exec_file = files[0], .joins = &container->joins};
	job.init = (struct init_job){.body = message->body, .control_fd = -1, .inside_pidfd = -1, .target_pid = container->pid};
	struct oci_start start = {
		.oci = oci,
		.words = words,
		.stdio = {fd_of(message, TAG_STDIN_FD), fd_of(message, TAG_STDOUT_FD), fd_of(message, TAG_STDERR_FD)},
		.set_up = oci_set_up_exec,
		.job = &job,
		.fds = &container->pidfd,
		.fd_count = 1,
	};
	if (terminal && oci_console_listen(&own->call.console, oci->directory_fd, files[2], failure) != 0)
		return -1;
	return oci_call_begin(&own->call, &start, oci->timeout_ms, failure);
}

int oci_start_exec(struct exec *exec, const struct container *container, struct message *message, struct failure *failure)
{
	if (!has_tag(message->body, TAG_OCI))
		return fail(failure, EINVAL, "enter container");
	exec->oci = calloc(1, sizeof *exec->oci);
	if (exec->oci == NULL)
		return fail(failure, ENOMEM, "enter container");
	exec->oci->exec = exec;
	exec->oci->call.console = (struct oci_console){.listener.fd = -1, .peer.fd = -1, .terminal_fd = -1};
	exec->oci->call.ended = on_ended;
	struct span process = get_span_or_empty(message->body, TAG_PROCESS);
	span_to_string(get_span_or_empty(process, TAG_ARG), exec->oci->program, sizeof exec->oci->program);
	if (begin(exec, container, message, failure) == 0)
		return 0;
	oci_unlink_files(container->oci, &exec->oci->call);
	return -1;
}
