/* What a pod has before its containers: namespaces, lo, hostname, sysctls, /dev/shm, cgroups, an init of its own. */
#include "../kernel.h"
#include "../kept-record.h"
#include "../pod-directory.h"
#include "../processes.h"
#include "monitor.h"

#include <dirent.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int bring_lo_up(struct failure *failure)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(failure, errno, "bring lo up");
	int result = ioctl(fd, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	if (result == 0)
		result = ioctl(fd, SIOCSIFFLAGS, &request);
	int error = errno;
	close(fd);
	return result == 0 ? 0 : fail(failure, error, "bring lo up");
}

static int mount_shm(uint64_t size_bytes, struct span label, struct failure *failure)
{
	char context[FSCONFIG_STRING_MAX];
	char size[32];
	struct text text = text_over(size, sizeof size);
	text_add_u64(&text, size_bytes);
	if (mkdirat(monitor.directory_fd, "shm", 0700) != 0 && errno != EEXIST)
		return fail_at(failure, errno, "mkdir", "shm");
	int fs_fd = kernel_fsopen("tmpfs");
	int fd = -1;
	if (fs_fd >= 0 && kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "mode", "1777") == 0 &&
	    kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "size", size) == 0 &&
	    (label.length == 0 || (span_to_string(label, context, sizeof context) && kernel_fsconfig(fs_fd, FSCONFIG_SET_STRING_, "context", context) == 0)) &&
	    kernel_fsconfig(fs_fd, FSCONFIG_CMD_CREATE_, NULL, NULL) == 0)
		fd = kernel_fsmount(fs_fd, ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC);
	int error = errno;
	if (fs_fd >= 0)
		close(fs_fd);
	if (fd < 0)
		return fail(failure, error, "mount shm");
	if (monitor.user_namespace.fd >= 0)
		(void)!fchownat(fd, "", monitor.user_namespace.root_uid, monitor.user_namespace.root_gid, AT_EMPTY_PATH);
	/* By its path: directory_fd is of the launcher's mount namespace, where nothing can be mounted from here. */
	int place_fd = open(monitor.shm_path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = place_fd < 0 ? -1 : kernel_move_mount(fd, place_fd);
	error = errno;
	if (place_fd >= 0)
		close(place_fd);
	close(fd);
	monitor.has_shm = result == 0;
	return result == 0 ? 0 : fail(failure, error, "mount shm");
}

/*
 * "net.ipv4.ip_forward" or, as sysctl(8) has it for interface names with dots, "net/ipv4/conf/eth0.1/forwarding": what separates first is
 * what separates. Never out of /proc/sys.
 */
static int write_sysctl(int sysctl_fd, struct span one, struct failure *failure)
{
	char path[512];
	struct span name = get_span_or_empty(one, TAG_NAME);
	struct span value = get_span_or_empty(one, TAG_VALUE);
	if (!span_to_string(name, path, sizeof path))
		return fail_at_span(failure, ENAMETOOLONG, "write sysctl", name);
	const char *first = strpbrk(path, "./");
	bool dots = first != NULL && *first == '.';
	for (char *at = path; dots && *at != 0; at++)
		*at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
	int fd = kernel_openat2(sysctl_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0, RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_);
	int result = fd < 0 ? -1 : write_whole(fd, value.bytes, value.length);
	int error = errno;
	if (fd >= 0)
		close(fd);
	return result == 0 ? 0 : fail_at_span(failure, error, "write sysctl", name);
}

static int write_sysctls(struct span body, struct failure *failure)
{
	struct span one;
	if (!has_tag(body, TAG_SYSCTL))
		return 0;
	int fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_at(failure, errno, "open", "/proc/sys");
	int result = 0;
	while (result == 0 && next_with_tag(&body, TAG_SYSCTL, &one))
		result = write_sysctl(fd, one, failure);
	close(fd);
	return result;
}

static int enter_namespaces(struct span body, uint32_t namespaces, struct failure *failure)
{
	int flags = CLONE_NEWNS;
	uint32_t all = namespaces;
	struct span mapping;
	if (get_span(body, TAG_USER_NAMESPACE, &mapping) && make_user_namespace(mapping, &namespaces, failure) != 0)
		return -1;
	if (namespaces & POD_NAMESPACE_NETWORK)
		flags |= CLONE_NEWNET;
	if (namespaces & POD_NAMESPACE_IPC)
		flags |= CLONE_NEWIPC;
	if (namespaces & POD_NAMESPACE_UTS)
		flags |= CLONE_NEWUTS;
	if (unshare(flags) != 0)
		return fail(failure, errno, "unshare");
	if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0)
		return fail_at(failure, errno, "make private", "/");
	return all & POD_NAMESPACE_NETWORK ? bring_lo_up(failure) : 0;
}

int set_up_pod(struct span body, struct failure *failure)
{
	uint32_t namespaces = get_u32(body, TAG_NAMESPACES, 0);
	struct span hostname;
	struct span cgroup;
	static const char *const directories[] = {"exits", "live"};
	for (unsigned i = 0; i < sizeof directories / sizeof directories[0]; i++)
		if (mkdirat(monitor.directory_fd, directories[i], 0700) != 0 && errno != EEXIST)
			return fail_at(failure, errno, "mkdir", directories[i]);
	if (enter_namespaces(body, namespaces, failure) != 0)
		return -1;
	/* Never the host's own name. */
	if (get_span(body, TAG_HOSTNAME, &hostname) && (namespaces & POD_NAMESPACE_UTS) != 0 &&
	    sethostname((const char *)hostname.bytes, hostname.length) != 0)
		return fail_at_span(failure, errno, "set hostname", hostname);
	if (write_sysctls(body, failure) != 0)
		return -1;
	if (has_tag(body, TAG_SHM_SIZE_BYTES) && mount_shm(get_u64(body, TAG_SHM_SIZE_BYTES, 0), get_span_or_empty(body, TAG_MOUNT_LABEL), failure) != 0)
		return -1;
	if (get_span(body, TAG_CGROUP, &cgroup) && cgroup_apply(cgroup, &monitor.made, failure) != 0)
		return -1;
	write_pod_cgroups(monitor.directory_fd, &monitor.made);
	return namespaces & POD_NAMESPACE_PID ? start_pod_init(failure) : 0;
}

void clear_pod(void)
{
	if (monitor.has_shm)
		umount2(monitor.shm_path, MNT_DETACH);
	clear_pod_directory(monitor.directory_fd);
	rmdir(monitor.directory);
}
