/* <run dir>/pods/<sandbox id>: monitor.sock, cgroups, exits/, live/, shm/ */
#ifndef BERTH_POD_DIRECTORY_H
#define BERTH_POD_DIRECTORY_H

/* Removes what berth put there; anything else stays. The directory itself is the caller's to remove. */
void clear_pod_directory(int directory_fd);

#endif
