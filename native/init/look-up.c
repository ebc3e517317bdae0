/* For a container that another keeper makes: who runs it, by the files of its root, and its image's volume directories. */
#include "../kernel.h"
#include "steps.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

int check_places(struct init *init)
{
	static const char *const places[] = {"/dev", "/proc", "/sys"};
	for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
		int fd = kernel_openat2(init->root_fd, places[i], O_PATH | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_SYMLINKS_);
		if (fd < 0 && errno != ENOENT)
			return fail_at(&init->report.failure, errno, "check root", places[i]);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int look_up(struct init *init)
{
	struct span rootfs = get_span_or_empty(init->job->body, TAG_ROOTFS);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		return fail(&init->report.failure, errno, "own mount namespace");
	if (mount_rootfs(init, rootfs) != 0 || check_places(init) != 0 || look_up_user(init) != 0)
		return -1;
	return make_volume_dirs(init, init->job->body);
}

_Noreturn void run_user_look_up(const struct init_job *job)
{
	/* Static, as the gids make it long; ours alone in this process. */
	static struct init init;
	init.job = job;
	init.process = get_span_or_empty(job->body, TAG_PROCESS);
	init.root_fd = init.terminal_fd = -1;
	prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
	umask(0);
	init.report.kind = look_up(&init) == 0 ? INIT_READY : INIT_FAILED;
	size_t length = offsetof(struct init_report, gids) + init.report.gid_count * sizeof(uint32_t);
	send(job->control_fd, &init.report, length, MSG_NOSIGNAL);
	_exit(0);
}
