/* The steps of an init, a file per matter. All return 0, or -1 with the failure set. */
#ifndef BERTH_INIT_STEPS_H
#define BERTH_INIT_STEPS_H

#include "init.h"

struct capability_sets {
	uint64_t effective, permitted, inheritable;
};

struct init {
	const struct init_job *job;
	/* TAG_PROCESS */
	struct span process;
	struct init_report report;
	/* The container's root, a mount of our own; from pivot on "/". */
	int root_fd;
	/* The terminal's master until it was sent; -1 = none. */
	int terminal_fd;
	char **arguments;
	char **environment;
	/* From passwd; "" = unknown. */
	char home[256];
	/* The program of TAG_SECCOMP, when it is still to be loaded after the release; a copy. */
	struct span seccomp_later;
	/* A capability that its loading needs is to go then. */
	bool drop_later;
	struct capability_sets capabilities;
};

/* rootfs.c: mounts the overlay on /proc (of our own mount namespace), root_fd refers to it. */
int mount_rootfs(struct init *init, struct span rootfs);
/* The overlay of a ROOTFS group or an IMAGE mount, attached at `place` of our own mount namespace. Its fd; -1. */
int mount_overlay(struct init *init, struct span layers, const char *place);
/* After a mount with `volatile`, before another one of the same upper directory. */
void forget_volatile(struct span work_dir);
int enter_rootfs(struct init *init, struct span rootfs);

/* user-namespace.c: nothing to do for a pod without one. */
/* Each lower directory is covered, in our own mount namespace, by an id-mapped mount of itself: its files belong to the pod's ids. */
int map_layers(struct init *init, struct span body);
/* What is made from here on belongs to the pod's root; all else is still done as the host's. */
int make_files_as_pod_root(struct init *init);
/* A detached mount; -1 with errno. */
int map_mount(const struct init *init, int mount_fd);
/* As the pod's root from here on, with no rights outside; `namespaces` are made anew, so that they are the pod's own. */
int enter_user_namespace(struct init *init, int namespaces);

/* time-namespace.c: nothing to do without TIME_OFFSET. Before the host's /proc is covered. */
int new_time_namespace(struct init *init);
/* For an exec: that of the container. */
int enter_time_namespace(struct init *init);

/* security-module.c: what AppArmor and SELinux do at the exec. By the host's /proc, of which no image can make another. */
int label_process(struct init *init);

/* image-mount.c */
int mount_image(struct init *init, struct span one);
/* The same, detached: its fd; -1. */
int open_image(struct init *init, struct span one);

/* mounts.c */
/* Puts a detached mount on the target, which is made when missing. Closes the mount's fd. */
int attach_mount(struct init *init, int mount_fd, const char *what, struct span target, bool directory);
int fail_mount(struct init *init, int error, const char *what, struct span target);
/* ATTR_* of READONLY, NOEXEC, NOSUID, NODEV. */
unsigned bind_attributes(struct span one);
int mount_all(struct init *init, struct span body);
/* Gives the detached mount of a BIND what the message says of it: flags, propagation, ids. */
int prepare_bind(struct init *init, struct span one);

/* cover.c: masked and read-only paths */
int cover_paths(struct init *init, struct span body);

/* devices.c: devices, symlinks, directories of volumes */
int make_devices(struct init *init, struct span body);
int make_symlinks(struct init *init, struct span body);
int make_volume_dirs(struct init *init, struct span body);

/* proc.c: a filesystem context (fsopen(2)) for procfs of the PID namespace that `inside_pidfd` is of; -1 with the failure set. */
int open_proc_inside(struct init *init);

/*
 * proc-context.c: a context comes from a process that others can trace, so it may be anything that they made, and is mounted with the host's rights. Before
 * the mount: nothing was said yet of what is to be mounted (a device, say). -1 with errno.
 */
int claim_proc_context(int fs_fd);
/* After it: what a context made is a procfs. -1 with errno. */
int check_proc_mount(int mount_fd);

/* terminal.c: opens a terminal in the container's /dev/pts and makes it stdio. */
int open_terminal(struct init *init, bool as_console);
/* Makes it the controlling one of this process's session. */
int take_terminal(struct init *init);

/* inside.c */
/* Children are made in the namespace of `inside_pidfd` from here on; with the host's rights. */
int choose_pid_namespace(struct init *init);
/* Returns in a clone that is in that namespace; the caller's own process ends. */
void go_inside(struct init *init);

/* report.c */
void report(struct init *init, uint32_t kind, int passed_fd);
/* Reports the failure and exits. 127: not found, 126: found but not run; as shells do. */
_Noreturn void end_init(struct init *init);

/* user.c: who runs the process, by the files in the container. */
int look_up_user(struct init *init);

/*
 * look-up.c: /dev, /proc and /sys of a root that another keeper makes a container of are directories, not symlinks, or are missing. runc 1.1 and
 * crun 1.8 make nodes and links in <root>/dev by its path as the node sees it: by an image's symlink, in a directory of the node.
 */
int check_places(struct init *init);

/* credentials.c */
/* Makes all permitted capabilities effective again. -1 with errno. */
int raise_permitted(void);
int set_rlimits(struct init *init);
int become_user(struct init *init);
/*
 * Loads the seccomp program now when it lets the init's last steps pass; else that is put off until the release. For one that goes inside
 * the message is gone afterwards: job->body and init->process are not to be read any more.
 */
int settle_seccomp(struct init *init);
/* What was put off: the seccomp program and the capability that its loading needs. */
int finish_credentials(struct init *init);

/* program.c */
int build_program(struct init *init);
/* Only returns when it failed. */
void exec_program(struct init *init);

#endif
