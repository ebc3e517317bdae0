/*
 * System calls and constants that the C library does not wrap, spelled out here so that no kernel headers are needed to build.
 * Sources: the kernel's include/uapi/linux/{mount,openat2,sched,fcntl,close_range,capability,seccomp,bpf}.h.
 */
#ifndef BERTH_KERNEL_H
#define BERTH_KERNEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define OPEN_TREE_CLONE_ 1
#define OPEN_TREE_CLOEXEC_ O_CLOEXEC
#define AT_RECURSIVE_ 0x8000
#define MOVE_MOUNT_F_EMPTY_PATH_ 0x04
#define MOVE_MOUNT_T_EMPTY_PATH_ 0x40
#define FSOPEN_CLOEXEC_ 1
#define FSMOUNT_CLOEXEC_ 1
#define FSCONFIG_SET_FLAG_ 0
#define FSCONFIG_SET_STRING_ 1
#define FSCONFIG_CMD_CREATE_ 6
/* A string of fsconfig(2), the NUL counted. */
#define FSCONFIG_STRING_MAX 256

#define ATTR_RDONLY 0x01
#define ATTR_NOSUID 0x02
#define ATTR_NODEV 0x04
#define ATTR_NOEXEC 0x08
#define ATTR_NOATIME 0x10
#define ATTR_STRICTATIME 0x20
#define ATTR_ATIME_MASK 0x70
#define ATTR_NODIRATIME 0x80
#define ATTR_IDMAP 0x00100000

#define RESOLVE_NO_MAGICLINKS_ 0x02
#define RESOLVE_NO_SYMLINKS_ 0x04
#define RESOLVE_BENEATH_ 0x08
#define RESOLVE_IN_ROOT_ 0x10

#define CLONE_INTO_CGROUP_ 0x200000000ULL
#define CLONE_PIDFD_ 0x00001000ULL
#define CLONE_NEWCGROUP_ 0x02000000
#define CLONE_NEWTIME_ 0x00000080
#define CLONE_SIBLING_FLAGS (CLONE_PARENT | SIGCHLD)
#define CLOSE_RANGE_CLOEXEC_ 4

#define BPF_PROG_LOAD_ 5
#define BPF_PROG_ATTACH_ 8
#define BPF_F_ALLOW_MULTI_ 2

#define PROC_SUPER_MAGIC_ 0x9fa0
#define DEVPTS_SUPER_MAGIC_ 0x1cd1
#define CGROUP2_SUPER_MAGIC_ 0x63677270

struct mount_attributes {
	uint64_t set;
	uint64_t clear;
	uint64_t propagation;
	uint64_t userns_fd;
};

static inline int kernel_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = {flags, mode, resolve};
	int fd;
	/* EAGAIN: a rename raced with the lookup; the kernel asks to try again. Bounded, since a hostile process may keep racing. */
	for (int i = 0; i < 64; i++) {
		fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

static inline int kernel_open_tree(int dir_fd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir_fd, path, flags);
}

static inline int kernel_move_mount(int from_fd, int to_fd)
{
	return (int)syscall(SYS_move_mount, from_fd, "", to_fd, "", MOVE_MOUNT_F_EMPTY_PATH_ | MOVE_MOUNT_T_EMPTY_PATH_);
}

static inline int kernel_fsopen(const char *fstype)
{
	return (int)syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC_);
}

static inline int kernel_fsconfig(int fs_fd, unsigned command, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs_fd, command, key, value, 0);
}

static inline int kernel_fsmount(int fs_fd, unsigned attributes)
{
	return (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC_, attributes);
}

static inline int kernel_mount_setattr(int fd, unsigned flags, const struct mount_attributes *attributes)
{
	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, attributes, sizeof *attributes);
}

/* Also what is mounted below, where its filesystems have it. -1 with errno: not even the top one. */
static inline int kernel_map_mount(int fd, const struct mount_attributes *mapped)
{
	if (kernel_mount_setattr(fd, AT_RECURSIVE_, mapped) == 0)
		return 0;
	return kernel_mount_setattr(fd, 0, mapped);
}

static inline int kernel_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline int kernel_pidfd_send_signal(int pidfd, int signo)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}

static inline int kernel_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

static inline int kernel_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

/* union bpf_attr of BPF_PROG_LOAD, as far as we fill it. */
struct program_load {
	uint32_t program_type;
	uint32_t instruction_count;
	uint64_t instructions;
	uint64_t license;
	uint32_t log_level;
	uint32_t log_size;
	uint64_t log_buffer;
	uint32_t kernel_version;
	uint32_t flags;
	char name[16];
	uint32_t ifindex;
	uint32_t expected_attach_type;
};

/* A descriptor of the program, without O_CLOEXEC. */
static inline int kernel_bpf_load(const struct program_load *load)
{
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD_, load, sizeof *load);
}

/* Besides those of the cgroups above, all of which have to agree. */
static inline int kernel_bpf_attach(int cgroup_fd, int program_fd, uint32_t attach_type)
{
	struct {
		uint32_t target_fd, program_fd, attach_type, flags;
	} attach = {(uint32_t)cgroup_fd, (uint32_t)program_fd, attach_type, BPF_F_ALLOW_MULTI_};
	return (int)syscall(SYS_bpf, BPF_PROG_ATTACH_, &attach, sizeof attach);
}

/*
 * A child of our parent, in the PID namespace chosen by setns(2). By clone(2), the order of whose first arguments is the same on all
 * architectures but s390: seccomp profiles refuse clone3(2), whose arguments they cannot see.
 */
static inline pid_t kernel_clone_sibling(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_SIBLING_FLAGS, NULL, NULL, NULL, NULL);
}

/* fork(2) with namespaces and a pidfd (NULL: none); the child goes on with a copy of everything. Raw, as this program has one thread only.
 * The child is in the cgroup2 directory from its birth (5.7); -1: where we are. */
static inline pid_t kernel_clone_in(uint64_t flags, int *pidfd, int cgroup_fd)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
	} arguments = {0};
	arguments.flags = pidfd == NULL ? flags : flags | CLONE_PIDFD_;
	arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
	arguments.exit_signal = SIGCHLD;
	arguments.flags |= cgroup_fd >= 0 ? CLONE_INTO_CGROUP_ : 0;
	arguments.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0;
	return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static inline pid_t kernel_clone(uint64_t flags, int *pidfd)
{
	return kernel_clone_in(flags, pidfd, -1);
}

#endif
