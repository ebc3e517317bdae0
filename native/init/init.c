/* The two walks: a container's first process, and an exec into a running container. */
#include "../kernel.h"
#include "../cgroup.h"
#include "../memory.h"
#include "../processes.h"
#include "paths.h"
#include "steps.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* One: static, as the gids make it long; fresh in each init, which is a child of its own. */
static struct init the_init PAGE_ALIGNED;

static struct init *begin(const struct init_job *job)
{
	struct init *init = &the_init;
	memset(init, 0, sizeof *init);
	init->job = job;
	init->process = get_span_or_empty(job->body, TAG_PROCESS);
	init->root_fd = -1;
	init->terminal_fd = -1;
	prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
	/* Modes are to be as asked for. */
	umask(0);
	setsid();
	if (has_tag(init->process, TAG_OOM_SCORE_ADJ))
		set_oom_score_adj((int)(int32_t)get_u32(init->process, TAG_OOM_SCORE_ADJ, 0));
	return init;
}

static int join_cgroups(struct init *init, struct span body)
{
	struct span directory;
	while (next_with_tag(&body, TAG_CGROUP_JOIN, &directory)) {
		char path[PATH_MAX];
		if (init->job->joined_cgroup != NULL && span_is(directory, init->job->joined_cgroup))
			continue;
		if (!span_to_string(directory, path, sizeof path))
			return fail_at_span(&init->report.failure, ENAMETOOLONG, "cgroup join", directory);
		if (cgroup_join(path, &init->report.failure) == 0)
			continue;
		if (init->report.failure.error != EBUSY || init->job->target_pid <= 0 || cgroup_join_nested(path, init->job->target_pid, &init->report.failure) != 0)
			return -1;
		init->report.failure = (struct failure){0};
	}
	return 0;
}

static int wanted_namespaces(const struct init *init)
{
	bool cgroup = get_u32(init->job->body, TAG_CGROUP_NAMESPACE, CGROUP_NAMESPACE_NEW) == CGROUP_NAMESPACE_NEW;
	return CLONE_NEWNS | (cgroup ? CLONE_NEWCGROUP_ : 0);
}

/* Waits until the monitor has made them. The cgroup namespace's root is what its maker is in: it comes after. */
static int enter_cgroups(struct init *init)
{
	struct span body = init->job->body;
	ssize_t got;
	char made;
	while ((got = read(init->job->control_fd, &made, 1)) < 0 && errno == EINTR)
		;
	if (got != 1)
		_exit(1);
	if (join_cgroups(init, get_span_or_empty(body, TAG_CGROUP)) != 0)
		return -1;
	int namespaces = wanted_namespaces(init) & CLONE_NEWCGROUP_;
	return namespaces == 0 || unshare(namespaces) == 0 ? 0 : fail(&init->report.failure, errno, "unshare");
}

static int new_mount_namespace(struct init *init)
{
	if (unshare(CLONE_NEWNS) != 0)
		return fail(&init->report.failure, errno, "unshare");
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		return fail_at(&init->report.failure, errno, "make private", "/");
	return 0;
}

static int set_up_files(struct init *init)
{
	struct span body = init->job->body;
	struct span rootfs = get_span_or_empty(body, TAG_ROOTFS);
	if (map_layers(init, body) != 0 || mount_rootfs(init, rootfs) != 0 || enter_cgroups(init) != 0)
		return -1;
	if (make_files_as_pod_root(init) != 0 || mount_all(init, body) != 0)
		return -1;
	if (make_devices(init, body) != 0 || make_symlinks(init, body) != 0 || make_volume_dirs(init, body) != 0)
		return -1;
	return cover_paths(init, body) != 0 ? -1 : enter_rootfs(init, rootfs);
}

static bool is_null(int fd, struct stat *status)
{
	return fstat(fd, status) == 0 && S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* The container's own, when it is one: the host's would show the host's /dev by /proc/self/fd. */
static int open_null(struct init *init)
{
	struct stat status;
	uint64_t resolve = RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_;
	/* Seen before it is opened: the opening of some other device can do something by itself. Another may come into its place in between. */
	int fd = kernel_openat2(init->root_fd, "/dev/null", O_PATH | O_CLOEXEC, 0, resolve);
	if (fd >= 0 && is_null(fd, &status)) {
		close(fd);
		fd = kernel_openat2(init->root_fd, "/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, resolve);
	}
	if (fd >= 0 && is_null(fd, &status) && fcntl(fd, F_SETFL, 0) == 0)
		return fd;
	return fail_at(&init->report.failure, fd < 0 ? errno : ENODEV, "open", "/dev/null");
}

static int set_up_stdio(struct init *init, bool as_console)
{
	if (get_u32(init->process, TAG_TTY, 0)) {
		if (open_terminal(init, as_console) != 0)
			return -1;
		report(init, INIT_TERMINAL, init->terminal_fd);
		close(init->terminal_fd);
		init->terminal_fd = -1;
		return 0;
	}
	for (int i = 0; i < 3; i++) {
		int fd = init->job->stdio[i];
		/* /dev/stdout opened anew by the user must work: what is the user's own may be opened, a device keeps its owner. */
		if (fd >= 0)
			(void)!fchown(fd, init->report.uid, (gid_t)-1);
		else if ((fd = open_null(init)) < 0)
			return -1;
		if (dup2(fd, i) < 0)
			return fail(&init->report.failure, errno, "stdio");
	}
	return 0;
}

/* As root first: the directory may be closed to the user and still be where the process starts; then as the user (a network file system). */
static int enter_cwd(struct init *init, bool last)
{
	struct span cwd = get_span_or_empty(init->process, TAG_CWD);
	char now[PATH_MAX];
	int fd = make_dirs_in_root(init->root_fd, cwd);
	if (fd < 0 || fchdir(fd) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return error == EACCES && !last ? 1 : fail_at_span(&init->report.failure, error, "change directory", cwd);
	}
	close(fd);
	/* A directory outside the root, by whatever way, has no path here. */
	if (getcwd(now, sizeof now) == NULL || now[0] != '/')
		return fail_at_span(&init->report.failure, ENOENT, "change directory", cwd);
	return 0;
}

/* Raw: the C library keeps some real-time signals to itself, and what the daemon's starter ignored would stay ignored. */
static void default_action(int signo)
{
	/* struct kernel_sigaction on all architectures has at most these: handler SIG_DFL, no flags, empty mask. */
	static const uint64_t action[4];
	syscall(SYS_rt_sigaction, signo, action, NULL, sizeof(uint64_t));
}

void reset_signals(void)
{
	enum { KERNEL_SIGNALS = 64 };
	sigset_t none;
	for (int i = 1; i <= KERNEL_SIGNALS; i++)
		default_action(i);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* After it only the control socket and stdio are open, nothing is mapped of the message, and the process is the container's user. */
static int set_up_process(struct init *init, bool as_console)
{
	if (look_up_user(init) != 0 || build_program(init) != 0 || set_up_stdio(init, as_console) != 0 || set_rlimits(init) != 0)
		return -1;
	int entered = enter_cwd(init, false);
	if (entered < 0)
		return -1;
	int keep[] = {init->job->control_fd, entered == 1 ? init->root_fd : -1};
	close_other_fds(keep, 2);
	umask(022);
	reset_signals();
	if (become_user(init) != 0 || (entered == 1 && enter_cwd(init, true) != 0))
		return -1;
	if (entered == 1)
		close(init->root_fd);
	return 0;
}

/* Becomes the program; before that it parks, if it is to, until the monitor says so, whose end is the end of this as well. */
_Noreturn static void run_program(struct init *init, bool park)
{
	bool inside = init->job->inside_pidfd >= 0;
	bool terminal = get_u32(init->process, TAG_TTY, 0) != 0;
	bool keep_orphans = (get_u32(init->job->body, TAG_LAUNCH_FLAGS, 0) & LAUNCH_FLAG_KEEP_ORPHANS) != 0;
	char go;
	if (settle_seccomp(init) != 0)
		end_init(init);
	if (inside)
		go_inside(init);
	/* Not inherited, but kept by the exec. */
	if (keep_orphans)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	report(init, INIT_READY, -1);
	ssize_t got = 1;
	while (park && (got = read(init->job->control_fd, &go, 1)) < 0 && errno == EINTR)
		;
	if (got != 1)
		_exit(1);
	if ((!terminal || take_terminal(init) == 0) && finish_credentials(init) == 0)
		exec_program(init);
	end_init(init);
}

_Noreturn void run_container_init(const struct init_job *job)
{
	struct init *init = begin(job);
	if (label_process(init) != 0 || new_mount_namespace(init) != 0 || new_time_namespace(init) != 0 || set_up_files(init) != 0 || choose_pid_namespace(init) != 0 ||
	    enter_user_namespace(init, wanted_namespaces(init)) != 0 || set_up_process(init, true) != 0)
		end_init(init);
	run_program(init, true);
}

_Noreturn void run_exec_init(const struct init_job *job)
{
	struct init *init = begin(job);
	/* Not the monitor's, which the OOM killer is to spare. */
	if (!has_tag(init->process, TAG_OOM_SCORE_ADJ))
		take_oom_score_adj(job->target_pid);
	if (label_process(init) != 0 || join_cgroups(init, job->body) != 0 || enter_time_namespace(init) != 0)
		end_init(init);
	if (setns(job->inside_pidfd, CLONE_NEWNS | CLONE_NEWCGROUP_ | CLONE_NEWPID) != 0) {
		fail(&init->report.failure, errno, "enter container");
		end_init(init);
	}
	init->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (init->root_fd < 0)
		fail_at(&init->report.failure, errno, "open root", "/");
	if (init->root_fd < 0 || enter_user_namespace(init, 0) != 0 || set_up_process(init, false) != 0)
		end_init(init);
	run_program(init, false);
}
