/* The monitor of one pod. */
#ifndef BERTH_MONITOR_H
#define BERTH_MONITOR_H

#include "../cgroup.h"
#include "../connection.h"
#include "../init/init.h"
#include "log.h"

struct oci;
struct oci_exec;

struct container {
	struct container *next;
	char id[MAX_ID_BYTES + 1];
	pid_t pid;
	/* Refers to the init, also after it was reaped; -1 before the clone. */
	int pidfd;
	uint32_t phase;
	/* Its process was waited for. Before `ready`: the one that set up, whose place the one that goes inside has not taken yet. */
	bool reaped;
	/* The init has reported that it is set up. */
	bool ready;
	/* Released by START. */
	bool released;
	bool removing;
	bool own_pid_namespace;
	/* Its process is not ours: foreign.c. */
	bool foreign;
	/* It has ended, and until when the rest of its output is waited for; 0 = not so. */
	uint64_t drain_until_ms;
	/* It has ended and was told of, and until when its cgroups are tried to be removed; 0 = not so. */
	uint64_t clear_until_ms;
	/* The child that looks its user up reports here; -1 = there is none. Its work directory is cleared after it. */
	int look_up_fd;
	char *work_dir;
	uint32_t exit_code;
	bool oom_killed;
	uint64_t started_at_ns;
	uint64_t finished_at_ns;
	struct watch control;
	/* Who waits for CREATE or START; connection 0 = nobody. */
	struct asker asker;
	/* Who waits for REMOVE, and until when it is tried. */
	struct asker remover;
	uint64_t remove_until_ms;
	/* Why CREATE failed: told once it is all undone. */
	struct failure failure;
	struct log_file log;
	/* With a terminal, `out` is its master. */
	struct stream out, err;
	bool terminal;
	/* It is to have an input: a pipe, whose write end this is while it is open, or its terminal. */
	bool with_stdin;
	int stdin_fd;
	struct path_list made;
	/* Those of its cgroups that are its own: in them it may be killed and its OOM kills are counted. */
	struct path_list joins;
	/* Made by an OCI runtime's binary; null: by our own init. */
	struct oci *oci;
};

/* A client that sees a container's output as it comes and may have its input. */
struct attachment {
	struct attachment *next;
	char id[MAX_ID_BYTES + 1];
	/* Whose it is: it ends with that connection. */
	uint32_t connection;
	struct container *container;
	struct tap out, err;
	bool closes_stdin;
	/* So has the container, and a client that lags gets the rest. */
	bool ending;
};

struct exec {
	struct exec *next;
	char id[MAX_ID_BYTES + 1];
	char container_id[MAX_ID_BYTES + 1];
	/* The one that sets up, then the one that went inside; 0: the first has ended and the second has not told yet. */
	pid_t pid;
	struct watch control;
	struct asker asker;
	bool ready;
	/* To be killed as soon as it is known. */
	bool killed;
	/* EXEC was answered: the program runs. */
	bool running;
	/* The terminal's master; -1 = none. */
	int terminal_fd;
	/* Started by an OCI runtime's binary; null: by our own init. Until that has ended, pid is 0. */
	struct oci_exec *oci;
};

struct monitor {
	char sandbox_id[MAX_ID_BYTES + 1];
	/* <run dir>/pods/<sandbox id> */
	char directory[512];
	char shm_path[528];
	bool has_shm;
	int directory_fd;
	struct watch listener;
	struct watch children;
	/* To the launcher; its number, 0 = none. */
	uint32_t launcher;
	/* The pod's own init; 0 and -1 = none. */
	pid_t pod_init;
	int pod_init_pidfd;
	struct user_namespace user_namespace;
	struct path_list made;
	struct container *containers;
	struct exec *execs;
	struct attachment *attachments;
	bool destroying;
	struct asker destroyer;
	uint64_t destroy_until_ms;
};

extern struct monitor monitor;

struct container *find_container(struct span id);
struct exec *find_exec(struct span id);

/* create.c */
void on_create(struct connection *connection, struct message *message);
void on_start(struct connection *connection, struct message *message);
void read_controls(void);
/* Reads what the init has to say; called when its socket is ready, and once more before its exit is dealt with. */
void read_control(struct container *container);
/* Its process is dead: there is nothing more to come, whoever else may hold the socket open still. */
void end_control(struct container *container);
void free_container(struct container *container);
/* CREATE is answered with the failure when nothing is left of it. */
void undo_create(struct container *container, struct asker asker, const struct failure *failure);
struct container *new_container(struct span body);
/* The log of a body that has one. */
int open_log(struct container *container, struct message *message, struct failure *failure);
/* Those of a CGROUP group that nobody else is in; false: no memory. */
bool own_joins(struct span cgroup, struct path_list *joins);

/* exit.c */
/* A container's or an exec's process. */
bool is_known(pid_t pid);
void on_children(struct watch *watch, uint32_t events);
void container_exited(struct container *container, uint32_t exit_code);
/* Writes the exit record, then tells everybody. */
void tell_exited(struct container *container);

/* foreign.c */
void on_create_foreign(struct connection *connection, struct message *message);
void on_foreign_started(struct connection *connection, struct message *message);
void on_foreign_exited(struct connection *connection, struct message *message);
/* The child of CREATE_FOREIGN has ended: it is answered. */
void foreign_looked_up(struct container *container);
/* What free_container() does not know of. */
void free_foreign(struct container *container);
/* Tells its exit once its output is here. */
void go_on_draining(struct container *container);

/* exec.c */
void on_exec(struct connection *connection, struct message *message);
void on_exec_kill(struct connection *connection, struct message *message);
/* Execs of which nobody is left in the container are refused. */
void end_lost_execs(const char *container_id);
/* What execs and inits that were just made have to say. */
void read_exec_controls(void);
void exec_exited(struct exec *exec, pid_t pid, uint32_t exit_code);
void free_exec(struct exec *exec);
/* The program runs: EXEC is answered, with the terminal if there is one. */
void answer_exec(struct exec *exec);
/* The connection that asked for them is gone: their terminals hang up. */
void hang_up_execs(uint32_t connection);

/* attach.c */
void on_attach(struct connection *connection, struct message *message);
void on_detach(struct connection *connection, struct message *message);
void on_close_stdin(struct connection *connection, struct message *message);
/* The connection is gone, and with it who was attached over it. */
void detach_connection(uint32_t connection);
/* The container has ended, and its streams: tells all who are attached, those who lag once they have caught up. */
void end_attachments(const struct container *container);
/* It is removed, and its log with it: ends them all. */
void drop_attachments(const struct container *container);

/* control.c */
void on_signal(struct connection *connection, struct message *message);
void on_remove(struct connection *connection, struct message *message);
void on_reopen_log(struct connection *connection, struct message *message);
void on_resize(struct connection *connection, struct message *message);
void on_list(struct connection *connection, struct message *message);
/* Kills a container and has go_on() remove it. */
void begin_removal(struct container *container);
/* Goes on with removals and the pod's end; called after each exit and by the tick. */
void go_on(void);

/* destroy.c */
void on_destroy(struct connection *connection, struct message *message);
void go_on_destroying(void);

/* keep.c: what the launcher holds for the case of our death. */
void tell_keep(const struct container *container);
void tell_drop(const struct container *container);
void on_adopt(struct connection *connection, struct message *message);

/* setup.c: namespaces, lo, hostname, sysctls, /dev/shm, cgroup, the pod's init, of a CREATE_MONITOR body. */
int set_up_pod(struct span body, struct failure *failure);
/* Removes what set_up_pod() made of directories. */
void clear_pod(void);

/* user-namespace.c: makes the pod's user namespace of a USER_NAMESPACE group, and in it those of `namespaces` (POD_NAMESPACE_*) that it has to own,
 * which the monitor enters; these bits are cleared. The monitor itself stays the host's root: it writes logs and cgroups. */
int make_user_namespace(struct span mapping, uint32_t *namespaces, struct failure *failure);
/* Id-maps the mounts of a CREATE_CONTAINER that bring mappings of their own. */
int map_mounts(struct message *message, struct failure *failure);

/* pod-init.c: clones PID 1 of the pod's own PID namespace. */
int start_pod_init(struct failure *failure);

/* report.c: what inits tell */
/* Our end is [0], non-blocking; says of each packet who sent it. */
int open_control(int pair[2], struct failure *failure);
struct sent_report {
	struct init_report report;
	/* Who sent it, by the kernel's word. */
	pid_t sender;
	/* What came with it; -1 = none. Whoever does not take it closes it. */
	int fd;
};

/* More than a socket holds at a time. Who sends without end, as a program may that took a socket, is not to keep us. */
enum { MAX_REPORTS_AT_ONCE = 512 };
/* One report: 1, 0 nothing now, -1 the socket was closed. */
int receive_report(int fd, struct sent_report *sent);
/*
 * A program that can trace an init may have taken its end of the socket. `known`: who is expected to send. Another one counts only as the
 * process that went inside: with READY, and when it is a child of ours that belongs to nobody yet.
 */
bool is_true_report(const struct sent_report *sent, pid_t known, bool ready);

/* Runs as the pod's monitor in a child of the launcher; `link_fd` is a socket to it. */
_Noreturn void run_monitor(struct span body, const char *pods_directory, int link_fd);

#endif
