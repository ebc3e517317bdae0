/* <run dir>/pods/<sandbox id>: monitor.sock, cgroups, exits/, live/, shm/, oci/ */
#ifndef BERTH_POD_DIRECTORY_H
#define BERTH_POD_DIRECTORY_H

/* Removes what berth put there; anything else stays. The directory itself is the caller's to remove. */
void clear_pod_directory(int directory_fd);

/* Removes what lies at <parent>/<name>, and all in it; follows no link. Missing is fine, and so is what cannot be removed. */
void clear_tree(int parent_fd, const char *name);

#endif
