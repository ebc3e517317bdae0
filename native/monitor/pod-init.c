/* PID 1 of a pod-wide PID namespace: takes in orphans, nothing else. */
#include "../kernel.h"
#include "../empty-root.h"
#include "../processes.h"
#include "monitor.h"

#include <sys/prctl.h>
#include <sys/wait.h>

/* Nobody's: as other runtimes' pause process. */
enum { POD_INIT_ID = 65535 };

/* Containers of the pod see this process: hence an empty root and no rights of its own. */
static int give_everything_up(void)
{
	struct {
		uint32_t version;
		int pid;
	} header = {0x20080522, 0};
	uint32_t none[6] = {0};
	if (enter_empty_root() != 0)
		return -1;
	if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, POD_INIT_ID, POD_INIT_ID, POD_INIT_ID) != 0 ||
	    syscall(SYS_setresuid, POD_INIT_ID, POD_INIT_ID, POD_INIT_ID) != 0)
		return -1;
	return syscall(SYS_capset, &header, none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -1;
}

_Noreturn static void run_pod_init(int ready_fd)
{
	sigset_t all;
	prctl(PR_SET_NAME, "berth-pod-init", 0, 0, 0);
	setsid();
	close_other_fds(&ready_fd, 1);
	if (give_everything_up() != 0)
		_exit(1);
	/* After the change of user, which clears it. The monitor's death ends the pod. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)!write(ready_fd, "r", 1);
	kernel_close_range(0, ~0u, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		sigwaitinfo(&all, NULL);
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
	}
}

int start_pod_init(struct failure *failure)
{
	int ends[2];
	char ready;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail(failure, errno, "pod init");
	pid_t pid = kernel_clone(CLONE_NEWPID, &monitor.pod_init_pidfd);
	if (pid == 0)
		run_pod_init(ends[1]);
	if (pid < 0)
		fail(failure, errno, "pod init");
	close(ends[1]);
	if (pid > 0) {
		monitor.pod_init = pid;
		/* Microseconds: the pod is not there before it is. */
		if (read(ends[0], &ready, 1) != 1)
			fail(failure, ECHILD, "pod init");
	}
	close(ends[0]);
	return failure->error == 0 ? 0 : -1;
}
