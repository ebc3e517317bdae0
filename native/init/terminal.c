/* A terminal of the container's own /dev/pts. */
#include "../kernel.h"
#include "paths.h"
#include "steps.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

#define TIOCGPTPEER_ _IO('T', 0x41)

/* The multiplexer of a real devpts: an image or a process may have put anything else there. */
static int open_multiplexer(struct init *init)
{
	static const char path[] = "/dev/pts/ptmx";
	struct stat status;
	struct statfs filesystem;
	int fd = kernel_openat2(init->root_fd, path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_SYMLINKS_);
	if (fd < 0)
		return fail_at(&init->report.failure, errno, "open terminal", path);
	if (fstatfs(fd, &filesystem) == 0 && filesystem.f_type == DEVPTS_SUPER_MAGIC_ && fstat(fd, &status) == 0 &&
	    status.st_rdev == makedev(5, 2))
		return fd;
	close(fd);
	return fail_at(&init->report.failure, ENODEV, "open terminal", path);
}

/* /dev/console is the terminal, as runtime-spec wants for a container with one. */
static int bind_console(struct init *init, int terminal_fd)
{
	static const char path[] = "/dev/console";
	struct failure *failure = &init->report.failure;
	char name[256];
	int parent_fd = make_parent_in_root(init->root_fd, span_of(path), name);
	if (parent_fd < 0)
		return fail_at(failure, errno, "bind console", path);
	if (mknodat(parent_fd, name, S_IFREG | 0620, 0) != 0 && errno != EEXIST) {
		int error = errno;
		close(parent_fd);
		return fail_at(failure, error, "bind console", path);
	}
	/* A link here would put the terminal over a file of the image's choice. */
	int place_fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int clone_fd = kernel_open_tree(terminal_fd, "", OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ | AT_EMPTY_PATH);
	struct stat status;
	int result = -1;
	if (place_fd >= 0 && clone_fd >= 0 && fstat(place_fd, &status) == 0) {
		errno = ELOOP;
		if (!S_ISLNK(status.st_mode))
			result = kernel_move_mount(clone_fd, place_fd);
	}
	int error = errno;
	close(parent_fd);
	if (place_fd >= 0)
		close(place_fd);
	if (clone_fd >= 0)
		close(clone_fd);
	return result == 0 ? 0 : fail_at(failure, error, "bind console", path);
}

int open_terminal(struct init *init, bool as_console)
{
	struct failure *failure = &init->report.failure;
	int unlocked = 0;
	int master_fd = open_multiplexer(init);
	if (master_fd < 0)
		return -1;
	init->terminal_fd = master_fd;
	if (ioctl(master_fd, TIOCSPTLCK, &unlocked) != 0)
		return fail(failure, errno, "unlock terminal");
	/* By the master, not by a path that could be another's. */
	int fd = ioctl(master_fd, TIOCGPTPEER_, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail(failure, errno, "open terminal");
	if (fchown(fd, init->report.uid, (gid_t)-1) != 0)
		return fail(failure, errno, "own terminal");
	if (as_console && bind_console(init, fd) != 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) < 0)
			return fail(failure, errno, "terminal as stdio");
	close(fd);
	return 0;
}

int take_terminal(struct init *init)
{
	return ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0 ? 0 : fail(&init->report.failure, errno, "set controlling terminal");
}
