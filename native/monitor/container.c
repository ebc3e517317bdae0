/* The containers that the monitor keeps. */
#include "monitor.h"
#include "oci.h"

#include <stdlib.h>
#include <unistd.h>

struct container *find_container(struct span id)
{
	struct container *container = monitor.containers;
	while (container != NULL && !span_is(id, container->id))
		container = container->next;
	return container;
}

void free_container(struct container *container)
{
	struct container **link = &monitor.containers;
	while (*link != NULL && *link != container)
		link = &(*link)->next;
	if (*link == container)
		*link = container->next;
	free_foreign(container);
	loop_close(&container->control);
	stream_finish(&container->out);
	stream_finish(&container->err);
	drop_attachments(container);
	log_close(&container->log);
	if (container->stdin_fd >= 0)
		close(container->stdin_fd);
	if (container->pidfd >= 0)
		close(container->pidfd);
	path_list_free(&container->made);
	path_list_free(&container->joins);
	oci_free(container->oci);
	free(container);
}

struct container *new_container(struct span body)
{
	struct container *container = calloc(1, sizeof *container);
	if (container == NULL)
		return NULL;
	span_to_string(get_span_or_empty(body, TAG_CONTAINER_ID), container->id, sizeof container->id);
	container->phase = PHASE_CREATED;
	container->pidfd = container->stdin_fd = container->control.fd = container->look_up_fd = -1;
	container->out.watch.fd = container->err.watch.fd = -1;
	container->log.fd = container->log.dir_fd = -1;
	container->terminal = get_u32(get_span_or_empty(body, TAG_PROCESS), TAG_TTY, 0) != 0;
	container->with_stdin = get_u32(body, TAG_STDIN, STDIN_NULL) == STDIN_PIPE;
	container->own_pid_namespace = get_u32(body, TAG_PID_NAMESPACE, PID_NAMESPACE_NEW) == PID_NAMESPACE_NEW;
	container->next = monitor.containers;
	monitor.containers = container;
	return container;
}
