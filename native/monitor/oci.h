/*
 * Containers that an OCI runtime's binary (runc, crun) makes, in place of our own init. The monitor stays what it is: parent of the container's
 * first process (as subreaper: the binary ends, its child comes to us), keeper of log and exit code. Nothing here waits for the binary.
 *
 * <pod's directory>/oci/<container id>/: the bundle (config.json, empty places for mounts that only the binary's mount namespace has), what
 * the binary says (<call>.log, <call>.pid), and its own state (state/).
 */
#ifndef BERTH_MONITOR_OCI_H
#define BERTH_MONITOR_OCI_H

#include "monitor.h"

#include <limits.h>

/* Where the binary sends a terminal's master to: console.c. */
struct oci_console {
	struct watch listener;
	struct watch peer;
	/* -1: none has come. Whoever takes it sets it to -1. */
	int terminal_fd;
};

/* One run of the binary. Its files are <name>.log, .pid, .json, .sock. */
struct oci_call {
	struct oci_call *next;
	/* 0: it does not run. */
	pid_t pid;
	uint64_t until_ms;
	bool timed_out;
	char name[MAX_ID_BYTES + 8];
	struct oci_console console;
	void (*ended)(struct oci_call *call, uint32_t exit_code);
};

enum oci_step {
	OCI_CREATING = 1,
	OCI_CREATED,
	OCI_STARTING,
	OCI_STARTED,
	OCI_DELETING,
	OCI_DELETED,
};

struct oci {
	struct container *container;
	enum oci_step step;
	/* One after the other: create, start, delete. */
	struct oci_call call;
	/* The binary, then its global options. */
	struct path_list command;
	uint32_t timeout_ms;
	/* The daemon's mount namespace, where binary, libraries and layers are. */
	int mounts_fd;
	char directory[PATH_MAX];
	int directory_fd;
	/* The program's name, for its failure. */
	char program[224];
	uint64_t start_asked_ns;
	/* The binary found at create that the program cannot be executed: as natively, START tells, and the container has no process. */
	bool doomed;
	struct failure start_failure;
	/* As the set-up resolved it. */
	struct init_report *user;
};

struct oci_exec {
	struct exec *exec;
	struct oci_call call;
	char program[224];
	/* EXEC_KILL came while the binary ran. */
	bool killed;
};

/* oci-container.c */
/* Of a CREATE_CONTAINER with TAG_OCI: makes the bundle's directory. */
int oci_prepare(struct container *container, struct message *message, struct failure *failure);
/* Starts `create`; the child's ends of control socket and stdio are `theirs`. */
int oci_create(struct container *container, struct message *message, const int theirs[4], struct failure *failure);
void oci_user_known(struct container *container, const struct init_report *report);
void oci_start(struct container *container, struct asker asker);
/* A container without a process ends when it is killed; true when this was one. */
bool oci_end_doomed(struct container *container);
void oci_begin_removal(struct container *container);
/* False while there is something to wait for. */
bool oci_go_on_removing(struct container *container);
/* The bundle and the binary's state. */
void oci_remove_directory(struct container *container);
void oci_free(struct oci *oci);

/* oci-exec.c */
int oci_start_exec(struct exec *exec, const struct container *container, struct message *message, struct failure *failure);
void oci_kill_exec(struct exec *exec);
void oci_free_exec(struct oci_exec *oci);

/* oci-call.c */
struct oci_start {
	const struct oci *oci;
	/* Words after the global options: "create", flags, the container's id; NULL ends. */
	const char *const *words;
	/* The child's stdio; -1 = /dev/null. */
	int stdio[3];
	/* What the child does before the exec; may be NULL. It ends the child when it fails. */
	void (*set_up)(void *job);
	void *job;
	/* Other descriptors that set_up needs. */
	const int *fds;
	unsigned fd_count;
};
int oci_call_begin(struct oci_call *call, const struct oci_start *start, uint32_t timeout_ms, struct failure *failure);
void oci_call_kill(struct oci_call *call);
/* A call that was begun in vain, or that nobody waits for any more. */
void oci_call_forget(struct oci_call *call);
/* True when the child was a call; else its exit is kept for a call that will say that it was its. */
bool oci_child_exited(pid_t pid, uint32_t exit_code);
/* Kills the calls that are too late. */
void oci_check_deadlines(void);
/* The pid that the binary wrote down; 0 = none. `exit_code`: when it has ended already, true is returned. */
pid_t oci_read_pid(const struct oci *oci, const struct oci_call *call);
bool oci_take_exit(pid_t pid, uint32_t *exit_code);
/* Why it failed, as its log has it: stage "exec" with `program` when that could not be executed, else "runtime <verb>" with its words. */
void oci_explain(const struct oci *oci, const struct oci_call *call, const char *verb, const char *program, struct failure *failure);
/* In the child: a line in the call's log, as the binary would write it. */
void oci_say(const char *what, int error);
void oci_unlink_files(const struct oci *oci, const struct oci_call *call);

/* oci-console.c */
int oci_console_listen(struct oci_console *console, int directory_fd, const char *name, struct failure *failure);
/* Takes what has come; the socket is closed. The master's fd, or -1. */
int oci_console_finish(struct oci_console *console);

/* oci-config.c: in the child. */
struct init;
/* ST_* (statvfs(3)) of the next mount below mounts/, for its entry in the config. */
bool oci_add_mount_options(unsigned long options);
/* -1 with the init's failure. */
int oci_write_config(const struct oci *oci, struct init *init, const char *name);

/* oci-setup.c: in the child. */
struct oci_set_up_job {
	const struct oci *oci;
	struct init_job init;
	/* An exec's file name for its config; NULL: a container. */
	const char *exec_file;
	const struct path_list *joins;
};
void oci_set_up_container(void *job);
void oci_set_up_exec(void *job);
/* For start and delete. */
void oci_set_up_plain(void *job);

#endif
