/*
 * What runs in a container before its program: cloned by the monitor, sets everything up, waits, execs. For a PID namespace of its own the
 * monitor made it there. A namespace that has processes already is entered last of all, by a clone of the one that did the work: what
 * others can see, trace and open by /proc has the container's root, files and capabilities and nothing else (decision 0018).
 */
#ifndef BERTH_INIT_H
#define BERTH_INIT_H

#include "../failure.h"
#include "../protocol-parse.h"

enum { MAX_GIDS = 1024 };

enum init_report_kind {
	/* Set up and parked (container), or about to exec (exec). The sender is the process that goes on: it need not be the one that began. */
	INIT_READY = 1,
	/* Could not be set up, or (after READY) could not exec: stage "exec". The process exits right after. */
	INIT_FAILED = 2,
	/* The terminal's master comes as SCM_RIGHTS. Before READY. */
	INIT_TERMINAL = 3,
};

/* What the init tells on its control socket (SOCK_SEQPACKET), one packet, gid_count gids of the array only. */
struct init_report {
	uint32_t kind;
	uint32_t uid;
	uint32_t gid;
	uint32_t gid_count;
	struct failure failure;
	uint32_t gids[MAX_GIDS];
};

/* The pod's user namespace, and who its root is outside. */
struct user_namespace {
	/* -1: the host's. */
	int fd;
	uint32_t root_uid;
	uint32_t root_gid;
};

struct init_job {
	/* Body of CREATE_CONTAINER or EXEC, checked. */
	struct span body;
	/* The fds that came with it. */
	const int *fds;
	uint32_t fd_count;
	/* Our end of the control socket, O_CLOEXEC: its closing by exec tells the monitor of the success. */
	int control_fd;
	/* Ends of pipes; -1 = /dev/null. Unused with a terminal. */
	int stdio[3];
	/* Path of the pod's /dev/shm in the monitor's mount namespace; null: the host's /dev/shm. */
	const char *shm_path;
	/* A process of the PID namespace to enter, which has others in it; -1: this process was made in the right one. */
	int inside_pidfd;
	/* For an exec: the container's init, which `inside_pidfd` refers to. */
	pid_t target_pid;
	struct user_namespace user_namespace;
	/* Of the cgroups to join the one that this process was made in; NULL: none. */
	const char *joined_cgroup;
};

/* Every signal as a fresh process has it: default action, none blocked. */
void reset_signals(void);
/* CREATE_CONTAINER: wait for one byte on the control socket (the cgroups are there), set up, report READY, wait for one byte on the control socket (EOF: exit), exec. */
_Noreturn void run_container_init(const struct init_job *job);
/* CREATE_FOREIGN: looks the user up in the root, makes the directories of volumes, reports and ends; the root's mount ends with it. */
_Noreturn void run_user_look_up(const struct init_job *job);
/* EXEC: enter the container, set up, report READY, exec without waiting. */
_Noreturn void run_exec_init(const struct init_job *job);

#endif
