/* Paths inside a root whose content may be hostile: never followed out of it, never through magic links. */
#ifndef BERTH_INIT_PATHS_H
#define BERTH_INIT_PATHS_H

#include "../failure.h"

/* An O_PATH fd; -1 with errno. `flags` are added (O_DIRECTORY, O_NOFOLLOW). */
int open_in_root(int root_fd, struct span path, uint64_t flags);
/* An O_PATH fd of the directory; what is missing on the way is made, root's, 0755. -1 with errno. */
int make_dirs_in_root(int root_fd, struct span path);
/* An O_PATH fd of what is there, or of a new directory or empty file. -1 with errno. */
int make_target_in_root(int root_fd, struct span path, bool directory);
/* The directory that holds the last component, made when missing, and that component. -1 with errno. */
int make_parent_in_root(int root_fd, struct span path, char name[256]);

#endif
