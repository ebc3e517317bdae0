/*
 * The launcher's binary under the name "pause": the first process of a pod whose runtime needs one (a virtual machine's sandbox, say).
 * It waits, and reaps what becomes its child when the pod's containers share its PID namespace.
 */
#include "../kernel.h"
#include "launcher.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

bool is_pause(const char *name)
{
	const char *slash = name == NULL ? NULL : strrchr(name, '/');
	return name != NULL && strcmp(slash == NULL ? name : slash + 1, "pause") == 0;
}

_Noreturn void run_pause(void)
{
	sigset_t awaited;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGINT);
	sigaddset(&awaited, SIGCHLD);
	sigprocmask(SIG_BLOCK, &awaited, NULL);
	for (;;) {
		int signo = 0;
		if (sigwait(&awaited, &signo) == 0 && signo != SIGCHLD)
			exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
