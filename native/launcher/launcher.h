/* The launcher: one per run directory, clones monitors, and clears up after one that died. */
#ifndef BERTH_LAUNCHER_H
#define BERTH_LAUNCHER_H

#include "../cgroup.h"
#include "../connection.h"

enum { MAX_CGROUP_DIRS = 32, MAX_LOG_PIPES = 2 };

/* pause.c: whether the program was started as such, and what it does then. */
bool is_pause(const char *name);
_Noreturn void run_pause(void);

struct launcher_options {
	/* Canonical after open_directories(). */
	char run_dir[400];
	char root_dir[4096];
	const char *cgroup_dirs[MAX_CGROUP_DIRS];
	unsigned cgroup_dir_count;
	int oom_score_adj;
};

/* What is held for a container of a monitor. */
struct kept {
	struct kept *next;
	char container_id[MAX_ID_BYTES + 1];
	pid_t pid;
	int pidfd;
	int log_pipes[MAX_LOG_PIPES];
	struct path_list joins;
	/* Reaped by us, after its monitor's death. */
	bool reaped;
	uint32_t exit_code;
};

enum pod_state {
	/* Its monitor sets up; CREATE_MONITOR waits. */
	POD_STARTING,
	POD_ALIVE,
	/* The link to its monitor broke: is that dead? */
	POD_UNLINKED,
	/* The monitor is dead, processes of the pod may be dying. */
	POD_DYING,
	/* All dead, MONITOR_LOST was told. */
	POD_LOST,
};

struct pod {
	struct pod *next;
	char id[MAX_ID_BYTES + 1];
	enum pod_state state;
	pid_t pid;
	/* Of the monitor. */
	int pidfd;
	/* Number of the connection to the monitor. */
	uint32_t link;
	struct asker asker;
	struct kept *kept;
	/* When UNLINKED and DYING end, whatever is. */
	uint64_t until_ms;
};

struct launcher {
	struct pod *pods;
	char pods_directory[440];
	int pods_fd;
	struct watch listener;
	struct watch children;
};

extern struct launcher launcher;

/* self.c: goes on in a sealed copy of this program in memory, which nobody can write to (by /proc/<pid>/exe) or take away. Returns there. */
int run_from_memory(char **arguments, struct failure *failure);

/* mounts.c: a mount namespace with only what launcher, monitors and inits need. */
int make_own_mounts(const struct launcher_options *options, struct failure *failure);

/* requests.c: from daemons and monitors */
void on_launcher_message(struct connection *connection, struct message *message);

/* pods.c */
struct pod *find_pod(struct span id);
struct pod *find_pod_by_link(uint32_t link);
struct pod *add_pod(struct span id);
void free_pod(struct pod *pod);
/* Its directory is there: a monitor removes it as the last thing that it does for DESTROY. */
bool has_directory(const struct pod *pod);
/* Its monitor runs, or is about to. */
bool is_alive(const struct pod *pod);
int open_pod_directory(const char *id);
/* Connects to every live monitor, as the launcher before us is dead. */
void adopt_monitors(void);
bool adopt_monitor(struct pod *pod);
void on_link_closed(struct connection *connection);

/* keep.c */
void on_keep(struct pod *pod, struct message *message);
void drop_kept(struct pod *pod, struct span container_id);
/* What the monitor wrote down, which died while there was no launcher: for POD_DYING. */
void read_kept(struct pod *pod);

/* lost.c: what follows a monitor's death */
/* Removes what its monitor made, and `more`. 0, or the errno of the first that stays. */
int remove_pod_cgroups(struct pod *pod, const struct path_list *more);
void on_launcher_children(struct watch *watch, uint32_t events);
void on_launcher_tick(void);

#endif
