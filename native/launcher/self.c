#include "../kernel.h"
#include "launcher.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

enum { ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static int copy_into_memory(int self_fd)
{
	struct stat status;
	/* MFD_EXEC is known since 6.3, and needed where vm.memfd_noexec is set. */
	int fd = memfd_create("berth-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("berth-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fstat(self_fd, &status) != 0)
		return -1;
	for (off_t at = 0; at < status.st_size;)
		if (sendfile(fd, self_fd, &at, (size_t)(status.st_size - at)) <= 0)
			return -1;
	return fchmod(fd, 0500) == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) == 0 ? fd : -1;
}

int run_from_memory(char **arguments, struct failure *failure)
{
	extern char **environ;
	int self_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self_fd < 0)
		return fail_at(failure, errno, "open", "/proc/self/exe");
	int seals = fcntl(self_fd, F_GET_SEALS);
	if (seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS) {
		close(self_fd);
		return 0;
	}
	int fd = copy_into_memory(self_fd);
	if (fd < 0)
		return fail(failure, errno, "copy the program into memory");
	syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
	return fail(failure, errno, "run the program from memory");
}
