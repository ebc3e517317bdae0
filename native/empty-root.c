#include "kernel.h"
#include "empty-root.h"

#include <sys/mount.h>

int enter_empty_root(void)
{
	int fs_fd = kernel_fsopen("tmpfs");
	if (fs_fd < 0 || unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		return -1;
	if (kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) != 0)
		return -1;
	int root_fd = kernel_fsmount(fs_fd, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
	/* Any directory will do. */
	int place_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || place_fd < 0 || kernel_move_mount(root_fd, place_fd) != 0 || fchdir(root_fd) != 0 ||
	    kernel_pivot_root(".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return -1;
	close(fs_fd);
	close(root_fd);
	close(place_fd);
	return 0;
}
