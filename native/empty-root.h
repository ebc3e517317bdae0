/* For processes that containers see: by /proc/<pid>/root a program with CAP_SYS_PTRACE would be on the host's file system. */
#ifndef BERTH_EMPTY_ROOT_H
#define BERTH_EMPTY_ROOT_H

/* A mount namespace of our own whose root is an empty directory that nobody can write to. -1 with errno. */
int enter_empty_root(void);

#endif
