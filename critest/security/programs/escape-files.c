/*
 * escape-files MARKER: tries the ways out of a container that are files: the runtime's binary behind /proc/self/exe of what comes in
 * (CVE-2019-5736), left-over descriptors and working directories (CVE-2024-21626), release agents of cgroups, core_pattern and the other
 * files of the kernel, masked paths by way of other names (CVE-2025-31133, -52565, -52881). "FOUND …" for each that worked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long tries;

static void found(const char *what, const char *where)
{
	printf("FOUND %s %s\n", what, where);
	fflush(stdout);
}

/* Opened for writing is enough: nothing is written where that would change the node. */
static void try_write(const char *what, const char *path)
{
	tries++;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Some files refuse only the write; one byte that means nothing to any of them. */
	if (write(fd, "", 0) == 0)
		found(what, path);
	close(fd);
}

static void try_kernel_files(void)
{
	static const char *const files[] = {
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/hostname", "/proc/sys/fs/binfmt_misc/register",
		"/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/proc/bus/pci/devices", "/proc/fs/ext4", "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run",
		"/sys/power/state",
	};
	static const char *const names[] = {"%s", "/proc/self/root%s", "/proc/1/root%s", "/proc/thread-self/root%s", "/proc/self/cwd/%s", "/../../..%s"};
	for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++)
		for (unsigned j = 0; j < sizeof names / sizeof names[0]; j++) {
			char path[512];
			snprintf(path, sizeof path, names[j], files[i]);
			try_write("kernel file", path);
		}
}

/* What a mask covers must read as nothing by every name. */
static void try_masked(void)
{
	static const char *const files[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware/memmap", "/proc/latency_stats"};
	static const char *const names[] = {"%s", "/proc/self/root%s", "/proc/1/root%s", "/proc/self/task/../../..%s"};
	for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++)
		for (unsigned j = 0; j < sizeof names / sizeof names[0]; j++) {
			char path[512];
			char byte;
			snprintf(path, sizeof path, names[j], files[i]);
			tries++;
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, &byte, 1) == 1)
				found("masked file", path);
			if (fd >= 0)
				close(fd);
		}
}

static void try_unmask(void)
{
	static const char *const covers[] = {"/proc/kcore", "/proc/sys", "/proc/acpi", "/proc/bus", "/sys/firmware", "/sys/fs/cgroup"};
	for (unsigned i = 0; i < sizeof covers / sizeof covers[0]; i++) {
		tries += 3;
		if (umount2(covers[i], MNT_DETACH) == 0)
			found("cover taken off", covers[i]);
		if (mount(NULL, covers[i], NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
			found("cover made writable", covers[i]);
		if (mount("/tmp", covers[i], NULL, MS_BIND, NULL) == 0)
			found("mount over", covers[i]);
	}
}

/* By hierarchy: a release agent runs as the node's root. */
static void try_release_agents(void)
{
	DIR *listing = opendir("/sys/fs/cgroup");
	struct dirent *entry;
	char path[512];
	try_write("release agent", "/sys/fs/cgroup/release_agent");
	while (listing != NULL && (entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/release_agent", entry->d_name);
		try_write("release agent", path);
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/notify_on_release", entry->d_name);
		try_write("notify_on_release", path);
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/x", entry->d_name);
		tries++;
		if (mkdir(path, 0755) == 0)
			found("cgroup made", path);
	}
	if (listing != NULL)
		closedir(listing);
	mkdir("/tmp/cgroup", 0755);
	tries += 3;
	if (mount("none", "/tmp/cgroup", "cgroup", 0, "rdma") == 0 || mount("none", "/tmp/cgroup", "cgroup2", 0, NULL) == 0)
		found("cgroup mounted", "/tmp/cgroup");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) == 0 && mount("none", "/tmp/cgroup", "cgroup", 0, "memory") == 0) {
		try_write("release agent in a namespace of its own", "/tmp/cgroup/release_agent");
	}
}

/* CVE-2024-21626: what was open when this program began. */
static void try_descriptors(const char *marker)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[4096];
		char up[64] = "";
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		tries++;
		if (fd > 2) {
			snprintf(path, sizeof path, "%d", fd);
			found("descriptor", path);
		}
		for (int i = 0; i < 16; i++, strcat(up, "../")) {
			snprintf(path, sizeof path, "/proc/self/fd/%d/%s%s", fd, up, marker);
			tries++;
			if (access(path, F_OK) == 0)
				found("node's files", path);
		}
	}
}

int main(int count, char **arguments)
{
	char path[4096];
	char up[64] = "";
	if (count != 2)
		return 2;
	try_descriptors(arguments[1]);
	/* The working directory too may be one of the node. */
	for (int i = 0; i < 16; i++, strcat(up, "../")) {
		snprintf(path, sizeof path, "./%s%s", up, arguments[1]);
		tries++;
		if (access(path, F_OK) == 0)
			found("node's files", path);
	}
	try_kernel_files();
	try_masked();
	try_unmask();
	try_release_agents();
	printf("tries %lu\n", tries);
	return 0;
}
