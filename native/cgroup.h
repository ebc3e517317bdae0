/* Cgroup directories, v1 and v2: made, written, joined, killed in, removed. Paths come from the daemon; no decision is made here. */
#ifndef BERTH_CGROUP_H
#define BERTH_CGROUP_H

#include "failure.h"
#include "protocol-parse.h"

#include <sys/types.h>

/* Paths one after the other, each with its NUL. */
struct path_list {
	char *bytes;
	uint32_t length;
};

bool path_list_add(struct path_list *list, struct span path);
/* The path after `path`, or the first for NULL; NULL at the end. */
const char *path_list_next(const struct path_list *list, const char *path);
void path_list_free(struct path_list *list);

/* Every directory of `path` that is missing, from the top; a new v1 cpuset directory takes cpus and mems over from its parent. */
int cgroup_make_dir(const char *path, struct failure *failure);
/* Makes TAG_CGROUP_DIRs, does TAG_CGROUP_WRITEs, attaches TAG_CGROUP_PROGRAMs; directories that it made are added to `made`, also when it fails. */
int cgroup_apply(struct span cgroup, struct path_list *made, struct failure *failure);
/* Of it only the directory that cgroup_clone() makes a child in: the rest can follow while the child is at work. */
int cgroup_make_birthplace(struct span cgroup, struct path_list *made, struct failure *failure);
/* One TAG_CGROUP_PROGRAM: gone with its cgroup. */
int cgroup_attach_program(struct span program, struct failure *failure);
/* Adds every TAG_CGROUP_JOIN. */
bool cgroup_joins(struct span body, struct path_list *joins);
/*
 * Clones with the child in its cgroup2 directory, of those in `joins`, from birth: to join it later costs a grace period of RCU (some ms), as cgroup2 has no
 * `tasks`. `joined` is that directory, or NULL: there is none, or the kernel would not, and the child joins it by itself.
 */
pid_t cgroup_clone(uint64_t flags, int *pidfd, const struct path_list *joins, const char **joined);
/* Puts the calling process there. */
int cgroup_join(const char *directory, struct failure *failure);
/*
 * The same, deeper: into the cgroup that the process `pid` is in, below `directory`. For when the container gave its controllers to cgroups of its own making: on v2
 * such a directory takes no process (EBUSY; cgroup-v2.rst, "No Internal Process Constraint").
 */
int cgroup_join_nested(const char *directory, pid_t pid, struct failure *failure);
/* Removes what a container made in its own cgroup, as far as nobody is in it; a few thousand directories at a time. */
void cgroup_remove_children(const char *directory);
/* SIGKILL to all processes in it and below, as one step where the kernel can (cgroup.kill, the freezer); else nothing more can be made in it from then on. `joins`: its directory in each hierarchy. */
void cgroup_kill(const struct path_list *joins);
/* Lets go on what v1's freezer holds: it would not even die. v2 has no such need. */
void cgroup_thaw(const struct path_list *joins);
/* A signal to each process in it and below, as they are listed now. */
void cgroup_signal(const struct path_list *joins, int signo);
/* SIGKILL to the processes in it that are of the session `sid` (of the host's PID namespace): they may have left the tree that they began in. */
void cgroup_kill_session(const struct path_list *joins, pid_t sid);
/*
 * Removes the directories, last first. 0, or the errno of the first that stays (EBUSY: it has processes); missing ones are fine. What is in
 * one is removed too (`with_children`: made by the container itself), or it stays quietly (a parent that others use by now).
 */
int cgroup_remove(const struct path_list *made, bool with_children);
/* The OOM killer took a process of it (memory.oom_control, cgroup v1; memory.events, v2). */
bool cgroup_oom_killed(const struct path_list *joins);

/* <directory>/<name>, O_CLOEXEC; -1 with errno. */
int open_file_in(const char *directory, const char *name, int flags);
/* Up to `capacity` bytes of <directory>/<name>; -1 with errno. */
ssize_t read_file_in(const char *directory, const char *name, char *buffer, size_t capacity);
int write_file_in(const char *directory, const char *name, const char *value, size_t length);

#endif
