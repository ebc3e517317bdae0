/* DESTROY: all containers, the pod's cgroups, its run directory, the monitor itself. */
#include "../kernel.h"
#include "monitor.h"

enum { DESTROY_DEADLINE_MS = 10000, RETRY_MS = 2 };

static void remove_everything(void)
{
	struct container *next;
	for (struct container *container = monitor.containers; container != NULL; container = next) {
		next = container->next;
		if (!container->removing)
			begin_removal(container);
	}
	if (monitor.pod_init > 0)
		kernel_pidfd_send_signal(monitor.pod_init_pidfd, SIGKILL);
}

void on_destroy(struct connection *connection, struct message *message)
{
	struct asker asker = asker_of(connection, message);
	if (monitor.destroying) {
		reply_error(asker, EALREADY, "destroy");
		return;
	}
	monitor.destroying = true;
	monitor.destroyer = asker;
	monitor.destroy_until_ms = monotonic_ms() + DESTROY_DEADLINE_MS;
	remove_everything();
	go_on();
}

void go_on_destroying(void)
{
	/* A container that would not go within its own time is tried again within ours. */
	remove_everything();
	int error = monitor.containers != NULL || monitor.pod_init > 0 ? EBUSY : cgroup_remove(&monitor.made, false);
	if (error == 0) {
		clear_pod();
		reply_done(monitor.destroyer);
		loop_stop();
	} else if (monotonic_ms() < monitor.destroy_until_ms) {
		loop_tick_in(RETRY_MS);
	} else {
		monitor.destroying = false;
		reply_error(monitor.destroyer, error, "destroy");
	}
}
