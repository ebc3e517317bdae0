/*
 * The way into a PID namespace that has other processes. Whoever is in it can be seen by them, and by a program with CAP_SYS_PTRACE be
 * opened through /proc/<pid> or traced, dumpable or not. So the work is done outside of it, and what enters is finished: it has the
 * container's root, working directory, user, capabilities and filter, standard streams, and a socket on which it tells the monitor that it
 * is there.
 *
 * Not by CLONE_VM, though that is cheaper: who traces the child could write to the memory of the parent, which is in the node's namespace.
 */
#include "../kernel.h"
#include "steps.h"

int choose_pid_namespace(struct init *init)
{
	int fd = init->job->inside_pidfd;
	return fd < 0 || setns(fd, CLONE_NEWPID) == 0 ? 0 : fail(&init->report.failure, errno, "enter pid namespace");
}

void go_inside(struct init *init)
{
	pid_t pid = kernel_clone_sibling();
	if (pid > 0)
		_exit(0);
	if (pid < 0) {
		fail(&init->report.failure, errno, "clone");
		end_init(init);
	}
	setsid();
}
