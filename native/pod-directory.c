#include "kernel.h"
#include "pod-directory.h"

#include <dirent.h>
#include <string.h>

static void clear_exits(int directory_fd)
{
	int fd = openat(directory_fd, "exits", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(listing), entry->d_name, 0);
	if (listing != NULL)
		closedir(listing);
	else if (fd >= 0)
		close(fd);
}

void clear_pod_directory(int directory_fd)
{
	clear_exits(directory_fd);
	unlinkat(directory_fd, "exits", AT_REMOVEDIR);
	unlinkat(directory_fd, "shm", AT_REMOVEDIR);
	unlinkat(directory_fd, "monitor.sock", 0);
}
