/* Processes and descriptors: shared by launcher and monitors. */
#ifndef BERTH_PROCESSES_H
#define BERTH_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What must be taken in one write. 0, or -1 with errno: EIO when only a part was taken. */
int write_whole(int fd, const void *bytes, size_t length);
/* Closes every fd from 3 on but those in `keep` (-1s are passed over); sorts `keep`. */
void close_other_fds(int *keep, unsigned count);
/* SIGCHLD by signalfd: blocks it and returns the fd, or -1. */
int open_child_signals(void);
/* Reads away what the signalfd has. */
void drain_child_signals(int fd);
/* SIGKILL to a process and all that descend from it: each is stopped before the children of its threads are listed, so none forks away. */
void kill_tree(pid_t root);
/* 0-255 as a shell sees it: 128 + n after signal n. */
uint32_t to_exit_code(int wait_status);
/* As another process has it; what cannot be read or set stays. */
void take_oom_score_adj(pid_t pid);
/* Wished value, or the lowest that is allowed (EACCES or EPERM without CAP_SYS_RESOURCE). */
void set_oom_score_adj(int wished);

#endif
