/* Part of protocol.h, and to be included by it alone. */
#ifndef BERTH_PROTOCOL_TAGS_H
#define BERTH_PROTOCOL_TAGS_H

/*
 * Tags have one meaning and one type everywhere. The comment gives type and, for groups, the contents.
 */
enum tag {
	/* string: words such as "mount proc", "exec", "cgroup write" */
	TAG_ERROR_STAGE = 1,
	/* string */
	TAG_ERROR_PATH = 2,
	/* u32: the tag that the reader does not know */
	TAG_ERROR_TAG = 3,
	/* u32: the lowest protocol version that the sender speaks */
	TAG_MIN_VERSION = 4,
	/* u32: ROLE_* of the sender */
	TAG_ROLE = 5,
	/* u32: in the PID namespace of the launcher, which is the host's */
	TAG_PID = 6,
	/* string */
	TAG_SANDBOX_ID = 7,
	/* string */
	TAG_CONTAINER_ID = 8,
	/* string */
	TAG_EXEC_ID = 9,

	/* group, list: SANDBOX_ID, PID */
	TAG_MONITOR = 16,
	/* group, list: see LIST */
	TAG_CONTAINER = 17,
	/* u32: PHASE_* */
	TAG_PHASE = 18,
	/* u64: nanoseconds since 1970; 0 before start */
	TAG_STARTED_AT_NS = 19,
	/* u64: nanoseconds since 1970 */
	TAG_FINISHED_AT_NS = 20,
	/* u32: 0-255; 128 + n after signal n */
	TAG_EXIT_CODE = 21,
	/* bool */
	TAG_OOM_KILLED = 22,
	/* u32 */
	TAG_SIGNO = 23,
	/* bool: every process of the container, not only its main one */
	TAG_ALL = 24,
	/* u32, at most 65535 */
	TAG_COLUMNS = 25,
	/* u32, at most 65535 */
	TAG_ROWS = 26,

	/* u32: POD_NAMESPACE_* bits, set: a new one for the pod */
	TAG_NAMESPACES = 32,
	/* string, at most 64 bytes */
	TAG_HOSTNAME = 33,
	/* group, list: NAME ("net.ipv4.ip_forward"), VALUE */
	TAG_SYSCTL = 34,
	/* u64 */
	TAG_SHM_SIZE_BYTES = 35,
	/* string */
	TAG_NAME = 36,
	/* string */
	TAG_VALUE = 37,
	/* group: FIRST_UID, UID_COUNT, FIRST_GID, GID_COUNT. A user namespace for the pod, which owns its other new namespaces; missing: the host's. */
	TAG_USER_NAMESPACE = 38,
	/* u32: the host's uid that is 0 inside */
	TAG_FIRST_UID = 39,
	/* u32: uids 0 to n - 1 inside are mapped, the host's from FIRST_UID on */
	TAG_UID_COUNT = 40,
	/* u32 */
	TAG_FIRST_GID = 41,
	/* u32 */
	TAG_GID_COUNT = 42,

	/* group: CGROUP_DIR*, CGROUP_WRITE*, CGROUP_JOIN*, CGROUP_PROGRAM* */
	TAG_CGROUP = 48,
	/* string, list: absolute directory, parents first */
	TAG_CGROUP_DIR = 49,
	/* group, list: PATH, VALUE, [REQUIRED] */
	TAG_CGROUP_WRITE = 50,
	/* string, list: absolute directory */
	TAG_CGROUP_JOIN = 51,
	/* string: absolute, or inside a rootfs */
	TAG_PATH = 52,
	/* bool */
	TAG_REQUIRED = 53,

	/* u32: PID_NAMESPACE_* */
	TAG_PID_NAMESPACE = 64,
	/* u32: with PID_NAMESPACE_TARGET */
	TAG_TARGET_PID = 65,
	/* u32: CGROUP_NAMESPACE_* */
	TAG_CGROUP_NAMESPACE = 66,
	/* group: LOWER_DIR*, UPPER_DIR, WORK_DIR, [READONLY], [PROPAGATION] */
	TAG_ROOTFS = 67,
	/* string, list: topmost first */
	TAG_LOWER_DIR = 68,
	/* string */
	TAG_UPPER_DIR = 69,
	/* string */
	TAG_WORK_DIR = 70,
	/* bool */
	TAG_READONLY = 71,
	/* u32: PROPAGATION_* */
	TAG_PROPAGATION = 72,
	/* string, list: inside the rootfs */
	TAG_MASKED_PATH = 73,
	/* string, list: inside the rootfs */
	TAG_READONLY_PATH = 74,
	/* string, list: inside the rootfs */
	TAG_VOLUME_DIR = 75,
	/* group, list: PATH (of the link), TARGET (its text) */
	TAG_SYMLINK = 76,
	/* string */
	TAG_TARGET = 77,
	/* u32: STDIN_* */
	TAG_STDIN = 78,
	/* group: LOG_DIR_FD, NAME (of the file in it), [MAX_LINE_BYTES] */
	TAG_LOG = 79,
	/* u32 fd index: O_PATH or read, of the directory */
	TAG_LOG_DIR_FD = 80,
	/* u32: 0 = 16384 */
	TAG_MAX_LINE_BYTES = 81,
	/* u32: LAUNCH_FLAG_* */
	TAG_LAUNCH_FLAGS = 82,

	/* group, list, in order: MOUNT_KIND, TARGET (path inside the rootfs), and by kind
	 *   FILESYSTEM: FSTYPE, [MOUNT_FLAGS], [MOUNT_DATA]
	 *   BIND: MOUNT_FD, [READONLY], [RECURSIVE_READONLY], [NOEXEC], [NOSUID], [NODEV], [PROPAGATION], [ID_MAPPED, PATH: of the source, to be named]
	 *         UID_MAP*, GID_MAP*: of its own, in place of ID_MAPPED (recursive or not was decided by whoever cloned the mount)
	 *   SHM: nothing more
	 *   IMAGE: LOWER_DIR*, UPPER_DIR, WORK_DIR, [SUB_PATH], [NOEXEC], [NOSUID], [NODEV], PATH: the image, to be named. Always read-only
	 *   CGROUP: [READONLY], HIERARCHY* */
	TAG_MOUNT = 96,
	/* u32: MOUNT_KIND_* */
	TAG_MOUNT_KIND = 97,
	/* string */
	TAG_FSTYPE = 98,
	/* u32: MS_* bits of mount(2); RDONLY NOSUID NODEV NOEXEC NOATIME NODIRATIME RELATIME STRICTATIME count */
	TAG_MOUNT_FLAGS = 99,
	/* string: comma-separated options */
	TAG_MOUNT_DATA = 100,
	/* u32 fd index: a detached mount, open_tree(OPEN_TREE_CLONE) */
	TAG_MOUNT_FD = 101,
	/* bool */
	TAG_RECURSIVE_READONLY = 102,
	/* bool */
	TAG_NOEXEC = 103,
	/* bool */
	TAG_NOSUID = 104,
	/* bool */
	TAG_NODEV = 105,
	/* group, list: NAME ('' allowed), FSTYPE, MOUNT_DATA */
	TAG_HIERARCHY = 106,
	/* bool: ids of its files count as ids of the pod's user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP); not those of submounts */
	TAG_ID_MAPPED = 107,

	/* group, list: PATH, DEVICE_TYPE, MAJOR, MINOR, MODE, [UID], [GID]: the host's ids */
	TAG_DEVICE = 112,
	/* u32: the character 'c', 'b' or 'p' */
	TAG_DEVICE_TYPE = 113,
	/* u32 */
	TAG_MAJOR = 114,
	/* u32 */
	TAG_MINOR = 115,
	/* u32: permission bits */
	TAG_MODE = 116,
	/* u32 */
	TAG_UID = 117,
	/* u32 */
	TAG_GID = 118,
	/* u32, list */
	TAG_SUPPLEMENTAL_GID = 119,

	/* group: ARG*, ENV*, CWD, [USER], CAPABILITIES, [NO_NEW_PRIVILEGES], RLIMIT*, [OOM_SCORE_ADJ], [SECCOMP], [TTY] */
	TAG_PROCESS = 128,
	/* string, list, at least one */
	TAG_ARG = 129,
	/* string (any bytes but NUL), list: KEY=value */
	TAG_ENV = 130,
	/* string */
	TAG_CWD = 131,
	/* group: [USER_SPEC], [UID], [GID], SUPPLEMENTAL_GID*, [GROUPS_POLICY] */
	TAG_USER = 132,
	/* string: as in the image's USER; missing or empty = root. Ignored with UID. */
	TAG_USER_SPEC = 133,
	/* u32: GROUPS_POLICY_* */
	TAG_GROUPS_POLICY = 134,
	/* group: [BOUNDING], [EFFECTIVE], [PERMITTED], [INHERITABLE], [AMBIENT] */
	TAG_CAPABILITIES = 135,
	/* u64: bit n = capability n */
	TAG_BOUNDING = 136,
	/* u64 */
	TAG_EFFECTIVE = 137,
	/* u64 */
	TAG_PERMITTED = 138,
	/* u64 */
	TAG_INHERITABLE = 139,
	/* u64 */
	TAG_AMBIENT = 140,
	/* bool */
	TAG_NO_NEW_PRIVILEGES = 141,
	/* group, list: RESOURCE, SOFT, HARD */
	TAG_RLIMIT = 142,
	/* u32: RLIMIT_* of the kernel */
	TAG_RESOURCE = 143,
	/* u64: 2^64-1 = unlimited */
	TAG_SOFT = 144,
	/* u64 */
	TAG_HARD = 145,
	/* u32 holding an i32, -1000..1000; missing: inherited */
	TAG_OOM_SCORE_ADJ = 146,
	/* bytes: struct sock_filter[], at most 4096 of them */
	TAG_SECCOMP = 147,
	/* bool */
	TAG_TTY = 148,

	/* u32 fd index */
	TAG_STDIN_FD = 160,
	/* u32 fd index */
	TAG_STDOUT_FD = 161,
	/* u32 fd index */
	TAG_STDERR_FD = 162,
	/* u32 fd index */
	TAG_PIDFD_FD = 163,
	/* u32 fd index, list */
	TAG_LOG_PIPE_FD = 164,
	/* string: chosen by the client, unique in the pod */
	TAG_ATTACH_ID = 165,
	/* bool */
	TAG_WITH_STDIN = 166,
	/* bool */
	TAG_STDIN_ONCE = 167,
	/* u64: output that a client did not get, as it read too slowly */
	TAG_SKIPPED_BYTES = 168,

	/* group, list: INSIDE_ID, OUTSIDE_ID, ID_COUNT. On disk the ids from INSIDE_ID on, on the node those from OUTSIDE_ID on */
	TAG_UID_MAP = 250,
	/* group, list: as UID_MAP */
	TAG_GID_MAP = 251,
	/* u32 */
	TAG_INSIDE_ID = 252,
	/* u32 */
	TAG_OUTSIDE_ID = 253,
	/* u32 */
	TAG_ID_COUNT = 254,
	/* string: inside an image, resolved in its root */
	TAG_SUB_PATH = 255,
	/* group, list, of CREATE_CONTAINER: CLOCK, SECONDS, [NANOSECONDS]. A time namespace with these offsets */
	TAG_TIME_OFFSET = 256,
	/* u32: CLOCK_MONOTONIC 1 or CLOCK_BOOTTIME 7 of the kernel */
	TAG_CLOCK = 257,
	/* u64 holding an i64 */
	TAG_SECONDS = 258,
	/* u32: 0 to 999999999 */
	TAG_NANOSECONDS = 259,
	/* string, of PROCESS: a profile that the kernel has */
	TAG_APPARMOR_PROFILE = 260,
	/* string, of PROCESS: user:role:type:level */
	TAG_SELINUX_LABEL = 261,
	/* string, of CREATE_CONTAINER and CREATE_MONITOR: what the files of the root, of tmpfs and of /dev/shm are labelled with */
	TAG_MOUNT_LABEL = 262,

	/* group, list: PATH, PROGRAM_TYPE, ATTACH_TYPE, INSTRUCTIONS. Loaded and attached to the cgroup2 directory when its limits are written. */
	TAG_CGROUP_PROGRAM = 230,
	/* u32: BPF_PROG_TYPE_* of the kernel */
	TAG_PROGRAM_TYPE = 231,
	/* u32: BPF_CGROUP_* of the kernel (enum bpf_attach_type) */
	TAG_ATTACH_TYPE = 232,
	/* bytes: struct bpf_insn[], at most 65536 of them */
	TAG_INSTRUCTIONS = 233,

	/* group: of a container PATH (the OCI runtime's binary), OCI_ARG*, [OCI_TIMEOUT_MS], OCI_NAMESPACE_FD, OCI_CONFIG*; of an exec OCI_CONFIG* alone.
	 * A failure of the binary is told with a stage "runtime create", "runtime start" or "runtime exec", and its words as ERROR_PATH. */
	TAG_OCI = 210,
	/* string, list: global options of the binary */
	TAG_OCI_ARG = 211,
	/* u32: a call of the binary that takes longer is killed; missing: 60000 */
	TAG_OCI_TIMEOUT_MS = 212,
	/* group, list: OCI_TEXT, [OCI_INSERT]. config.json, or an exec's process, is the texts one after the other, each followed by what is inserted. */
	TAG_OCI_CONFIG = 213,
	/* bytes */
	TAG_OCI_TEXT = 214,
	/* u32: OCI_INSERT_* */
	TAG_OCI_INSERT = 215,
	/* u32 fd index: the mount namespace in which the binary, its libraries and the layers are */
	TAG_OCI_NAMESPACE_FD = 216,
};

#endif
