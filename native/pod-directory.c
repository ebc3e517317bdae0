#include "kernel.h"
#include "pod-directory.h"

#include <dirent.h>
#include <string.h>

static void clear_files(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (listing != NULL && (entry = readdir(listing)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(listing), entry->d_name, 0);
	if (listing != NULL)
		closedir(listing);
	else if (fd >= 0)
		close(fd);
	unlinkat(directory_fd, name, AT_REMOVEDIR);
}

void clear_tree(int parent_fd, const char *name)
{
	/* Deeper than anything that we or a runtime make there. */
	enum { MAX_DEPTH = 16 };
	static unsigned depth;
	if (unlinkat(parent_fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth == MAX_DEPTH)
		return;
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	depth++;
	while (listing != NULL && (entry = readdir(listing)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			clear_tree(dirfd(listing), entry->d_name);
	depth--;
	if (listing != NULL)
		closedir(listing);
	else if (fd >= 0)
		close(fd);
	unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void clear_pod_directory(int directory_fd)
{
	clear_tree(directory_fd, "oci");
	clear_files(directory_fd, "exits");
	clear_files(directory_fd, "live");
	unlinkat(directory_fd, "shm", AT_REMOVEDIR);
	unlinkat(directory_fd, "cgroups", 0);
	unlinkat(directory_fd, "monitor.sock", 0);
}
