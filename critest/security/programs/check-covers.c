/*
 * check-covers: was what the runtime puts over the kernel's files put over them, and nothing else anywhere? By what each is, not by what it
 * reads as: a mask that is some other file, a terminal over a file of procfs, a write that landed on a decoy all show.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PROC_MAGIC = 0x9fa0, TERMINAL_MAJOR = 136 };

static unsigned long tries;

static void found(const char *what, const char *where)
{
	printf("FOUND %s %s\n", what, where);
	fflush(stdout);
}

static int is_null(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

static void check_mask(const char *path)
{
	struct stat status;
	DIR *listing;
	unsigned entries = 0;
	tries++;
	if (stat(path, &status) != 0) {
		if (errno != ENOENT)
			found("mask that cannot be seen", path);
		return;
	}
	if (!S_ISDIR(status.st_mode)) {
		if (!is_null(&status))
			found("mask that is not /dev/null", path);
		return;
	}
	listing = opendir(path);
	while (listing != NULL && readdir(listing) != NULL)
		entries++;
	if (listing != NULL)
		closedir(listing);
	if (entries > 2)
		found("masked directory with files", path);
}

/* Still procfs's own, and not to be written to. */
static void check_readonly(const char *path)
{
	struct statfs filesystem;
	struct statvfs flags;
	struct stat status;
	tries++;
	if (stat(path, &status) != 0 || statfs(path, &filesystem) != 0 || statvfs(path, &flags) != 0)
		return;
	if (filesystem.f_type != PROC_MAGIC || S_ISCHR(status.st_mode))
		found("something else over", path);
	if ((flags.f_flag & ST_RDONLY) == 0)
		found("writable", path);
}

static void check_stream(int fd)
{
	char path[64];
	char target[4096];
	struct stat status;
	struct statfs filesystem;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	tries++;
	if (fstat(fd, &status) != 0 || fstatfs(fd, &filesystem) != 0)
		return;
	ssize_t length = readlink(path, target, sizeof target - 1);
	target[length < 0 ? 0 : length] = 0;
	if (filesystem.f_type == PROC_MAGIC || (fd == 0 && !is_null(&status) && !S_ISFIFO(status.st_mode) && major(status.st_rdev) != TERMINAL_MAJOR))
		found("standard stream that is", target);
}

/* With a terminal: it is /dev/console, and no file of procfs is. */
static void check_console(void)
{
	struct stat status;
	struct stat console;
	tries++;
	if (fstat(0, &status) != 0 || major(status.st_rdev) != TERMINAL_MAJOR)
		return;
	if (lstat("/dev/console", &console) == 0 && console.st_rdev == status.st_rdev)
		printf("console bound\n");
}

int main(void)
{
	static const char *const masks[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/acpi", "/proc/scsi", "/proc/latency_stats", "/sys/firmware"};
	static const char *const readonly[] = {
		"/proc/sys", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/panic_on_oom", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs",
	};
	for (unsigned i = 0; i < sizeof masks / sizeof masks[0]; i++)
		check_mask(masks[i]);
	for (unsigned i = 0; i < sizeof readonly / sizeof readonly[0]; i++)
		check_readonly(readonly[i]);
	for (int fd = 0; fd < 3; fd++)
		check_stream(fd);
	check_console();
	printf("tries %lu\n", tries);
	return 0;
}
