/*
 * What the child does before it execs the runtime's binary: a mount namespace of the binary's own with the container's overlay and what is to be bound into
 * it, and config.json. The binary makes its container from there; with its end the namespace is gone, and nothing was ever mounted anywhere else.
 *
 * Everything that the binary is given as a source is ours by then: detached mounts of what the daemon opened, not paths that somebody could exchange.
 */
#include "../kernel.h"
#include "../init/paths.h"
#include "../init/steps.h"
#include "../processes.h"
#include "oci.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static struct init set_up;
_Noreturn static void give_up(void)
{
	set_up.report.kind = INIT_FAILED;
	if (set_up.job->control_fd >= 0)
		send(set_up.job->control_fd, &set_up.report, offsetof(struct init_report, gids), MSG_NOSIGNAL);
	else
		oci_say(set_up.report.failure.stage, set_up.report.failure.error);
	_exit(set_up.report.failure.error == ENOENT ? 127 : 126);
}

static int fail_here(const char *stage, const char *path)
{
	return fail_at(&set_up.report.failure, errno, stage, path);
}

/* The daemon's view of the machine, in a copy that is ours. */
static int enter_mounts(const struct oci *oci)
{
	if (oci->mounts_fd >= 0 && setns(oci->mounts_fd, CLONE_NEWNS) != 0)
		return fail_here("enter mount namespace", "");
	if (unshare(CLONE_NEWNS) != 0)
		return fail_here("unshare", "");
	return mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 ? 0 : fail_here("make private", "/");
}

/*
 * crun refuses a machine with a unified hierarchy beside those of v1. Its cgroup is joined here instead, from where the container's processes inherit it,
 * and then neither runtime sees it. On a machine with nothing but v2 all of this is the runtime's own.
 */
static int join_unified(const struct path_list *joins)
{
	bool hybrid = false;
	const char *unified = NULL;
	for (const char *path = path_list_next(joins, NULL); path != NULL; path = path_list_next(joins, path)) {
		struct statfs filesystem;
		if (statfs(path, &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC_)
			unified = path;
		else
			hybrid = true;
	}
	if (!hybrid || unified == NULL)
		return 0;
	return cgroup_join(unified, &set_up.report.failure);
}

static void unmount_unified(void)
{
	static const char unified[] = "/sys/fs/cgroup/unified";
	struct statfs filesystem;
	if (statfs(unified, &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC_)
		umount2(unified, MNT_DETACH);
}

static const char *place_of(const struct oci *oci, const char *name, char buffer[PATH_MAX])
{
	struct text text = text_over(buffer, PATH_MAX);
	text_add(&text, oci->directory);
	text_add(&text, "/");
	text_add(&text, name);
	return buffer;
}

/* Attaches a mount at a new directory or file of the bundle. */
static int attach(const struct oci *oci, int mount_fd, const char *name, bool directory)
{
	char buffer[PATH_MAX];
	const char *path = place_of(oci, name, buffer);
	int made = directory ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0);
	int place_fd = made != 0 && errno != EEXIST ? -1 : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int result = place_fd < 0 ? -1 : kernel_move_mount(mount_fd, place_fd);
	if (result != 0)
		fail_here("mount", name);
	if (place_fd >= 0)
		close(place_fd);
	return result;
}

static void name_mount(char name[32], unsigned index)
{
	struct text text = text_over(name, 32);
	text_add(&text, "mounts/");
	text_add_u64(&text, index);
}

/* A detached mount of what the container is to see; -2: the runtime makes it itself. */
static int open_source(struct span one, int shm_fd)
{
	switch (get_u32(one, TAG_MOUNT_KIND, 0)) {
	case MOUNT_KIND_BIND:
		return prepare_bind(&set_up, one) == 0 ? set_up.job->fds[get_u32(one, TAG_MOUNT_FD, 0)] : -1;
	case MOUNT_KIND_IMAGE:
		return open_image(&set_up, one);
	case MOUNT_KIND_SHM:
		return shm_fd;
	default:
		return -2;
	}
}

static int attach_source(const struct oci *oci, int fd, unsigned index)
{
	struct statvfs filesystem;
	struct stat status;
	char name[32];
	name_mount(name, index);
	if (fstat(fd, &status) != 0 || fstatvfs(fd, &filesystem) != 0 || !oci_add_mount_options(filesystem.f_flag))
		return fail_here("mount", name);
	return attach(oci, fd, name, S_ISDIR(status.st_mode));
}

/* mounts/<n>: of the message's mounts the n-th, where it is not the runtime that makes it. */
static int attach_mounts(const struct oci *oci, struct span body, int shm_fd)
{
	struct span one;
	for (unsigned index = 0; next_with_tag(&body, TAG_MOUNT, &one); index++) {
		int fd = open_source(one, shm_fd);
		if (fd == -1 || (fd >= 0 && attach_source(oci, fd, index) != 0))
			return -1;
	}
	return 0;
}

static int open_pid_namespace(pid_t pid)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/ns/pid");
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* pidns: the namespace that is to be joined, at a path that means it alone. */
static int bind_pid_namespace(const struct oci *oci, struct span body)
{
	uint32_t kind = get_u32(body, TAG_PID_NAMESPACE, PID_NAMESPACE_NEW);
	char source[64];
	char buffer[PATH_MAX];
	if (kind != PID_NAMESPACE_POD && kind != PID_NAMESPACE_TARGET)
		return 0;
	pid_t pid = kind == PID_NAMESPACE_POD ? monitor.pod_init : (pid_t)get_u32(body, TAG_TARGET_PID, 0);
	/* A pidfd first: while it stands for a living process, the pid is no other's. */
	int pidfd = pid > 0 ? kernel_pidfd_open(pid) : -1;
	int fd = pidfd < 0 ? -1 : open_pid_namespace(pid);
	if (fd < 0 || kernel_pidfd_send_signal(pidfd, 0) != 0)
		return fail_here("target pid namespace", "");
	struct text text = text_over(source, sizeof source);
	text_add(&text, "/proc/self/fd/");
	text_add_u64(&text, (uint64_t)fd);
	const char *path = place_of(oci, "pidns", buffer);
	if (mknod(path, S_IFREG | 0600, 0) != 0 || mount(source, path, NULL, MS_BIND, NULL) != 0)
		return fail_here("target pid namespace", path);
	close(fd);
	close(pidfd);
	return 0;
}

static int clone_shm(const struct init_job *job, struct span body)
{
	struct span one;
	while (next_with_tag(&body, TAG_MOUNT, &one))
		if (get_u32(one, TAG_MOUNT_KIND, 0) == MOUNT_KIND_SHM) {
			const char *source = job->shm_path == NULL ? "/dev/shm" : job->shm_path;
			int fd = kernel_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_);
			return fd >= 0 ? fd : fail_here("mount shm", source);
		}
	return -2;
}

static void begin(const struct oci_set_up_job *job)
{
	memset(&set_up, 0, sizeof set_up);
	set_up.job = &job->init;
	set_up.process = get_span_or_empty(job->init.body, TAG_PROCESS);
	set_up.root_fd = set_up.terminal_fd = -1;
}

static void take_score(void)
{
	/* Inherited by the container, as clamped as ours: a runtime would fail where the machine does not let it be lowered. */
	if (has_tag(set_up.process, TAG_OOM_SCORE_ADJ))
		set_oom_score_adj((int)(int32_t)get_u32(set_up.process, TAG_OOM_SCORE_ADJ, 0));
	else if (set_up.job->target_pid > 0)
		take_oom_score_adj(set_up.job->target_pid);
}

void oci_set_up_container(void *argument)
{
	const struct oci_set_up_job *job = argument;
	const struct oci *oci = job->oci;
	struct span body = job->init.body;
	struct span rootfs = get_span_or_empty(body, TAG_ROOTFS);
	char buffer[PATH_MAX];
	begin(job);
	/* Before the namespace is left in which the pod's /dev/shm is mounted. */
	int shm_fd = clone_shm(&job->init, body);
	if (shm_fd == -1 || join_unified(job->joins) != 0 || enter_mounts(oci) != 0)
		give_up();
	if ((set_up.root_fd = mount_overlay(&set_up, rootfs, place_of(oci, "rootfs", buffer))) < 0 || check_places(&set_up) != 0)
		give_up();
	if (look_up_user(&set_up) != 0 || make_volume_dirs(&set_up, body) != 0)
		give_up();
	if (attach_mounts(oci, body, shm_fd) != 0 || bind_pid_namespace(oci, body) != 0 || oci_write_config(oci, &set_up, "config.json") != 0)
		give_up();
	unmount_unified();
	take_score();
	set_up.report.kind = INIT_READY;
	size_t length = offsetof(struct init_report, gids) + set_up.report.gid_count * sizeof(uint32_t);
	send(job->init.control_fd, &set_up.report, length, MSG_NOSIGNAL);
}

/* For its passwd: the home directory of who runs the exec. */
static int open_container_root(const struct container *container)
{
	char path[64];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)container->pid);
	text_add(&text, "/root");
	set_up.root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* While it lives the pid is its own. */
	if (set_up.root_fd < 0 || kernel_pidfd_send_signal(container->pidfd, 0) != 0)
		return fail_here("open root", "");
	return 0;
}

void oci_set_up_exec(void *argument)
{
	const struct oci_set_up_job *job = argument;
	begin(job);
	if (open_container_root(job->oci->container) != 0 || look_up_user(&set_up) != 0)
		give_up();
	if (join_unified(job->joins) != 0 || enter_mounts(job->oci) != 0 || oci_write_config(job->oci, &set_up, job->exec_file) != 0)
		give_up();
	unmount_unified();
	take_score();
}

void oci_set_up_plain(void *argument)
{
	const struct oci_set_up_job *job = argument;
	begin(job);
	if (enter_mounts(job->oci) != 0)
		give_up();
	unmount_unified();
}
