/*
 * live/<container id> in a pod's directory: what a launcher must know to clear up after a monitor that died while no launcher lived. One
 * line "<pid> <start time>", then a line for each of the container's own cgroup directories. Between programs of one version only: the
 * machine's boot clears it.
 */
#ifndef BERTH_KEPT_RECORD_H
#define BERTH_KEPT_RECORD_H

#include "cgroup.h"

void write_kept_record(int pod_directory_fd, const char *container_id, pid_t pid, const struct path_list *joins);
void remove_kept_record(int pod_directory_fd, const char *container_id);
/* A pidfd of the process when it still is the one that was written down, else -1. The cgroups in any case. */
int read_kept_record(int pod_directory_fd, const char *container_id, pid_t *pid, struct path_list *joins);

/* `cgroups` in a pod's directory: the pod's cgroup directories that its monitor made. */
void write_pod_cgroups(int pod_directory_fd, const struct path_list *made);
void read_pod_cgroups(int pod_directory_fd, struct path_list *made);

#endif
