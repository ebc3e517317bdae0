/* Is a filesystem context one of a fresh procfs? fsopen(2) gives no way to ask. */
#include "../kernel.h"
#include "steps.h"

#include <sys/vfs.h>

int claim_proc_context(int fs_fd)
{
	/* A source is given once: the kernel refuses a second one (vfs_parse_fs_param_source in fs/fs_context.c), and nobody can give another after us. */
	return kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "source", "proc");
}

int check_proc_mount(int mount_fd)
{
	struct statfs status;
	if (fstatfs(mount_fd, &status) != 0)
		return -1;
	if (status.f_type == PROC_SUPER_MAGIC_)
		return 0;
	errno = EPROTO;
	return -1;
}
