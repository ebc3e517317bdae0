/*
 * The wire between daemon, launcher and monitors. native/protocol.ts mirrors every enum below; a test compares them, so each
 * enumerator is one plain `NAME = number` line. Numbers are never reused or changed: a daemon of a later version talks to monitors of
 * an earlier one.
 *
 * Sockets: AF_UNIX SOCK_SEQPACKET, one message per packet.
 *   <run dir>/launcher.sock                       the launcher
 *   <run dir>/pods/<sandbox id>/monitor.sock      a pod's monitor
 *
 * A message is a header of HEADER_BYTES followed by its body. All numbers are little-endian, nothing is padded or aligned.
 *
 *   offset 0   u32  magic          PROTOCOL_MAGIC
 *   offset 4   u16  version        HELLO: the highest that the sender speaks; afterwards the one agreed on
 *   offset 6   u16  type           MESSAGE_*; a reply repeats the type of its request
 *   offset 8   u32  request id     chosen by the client, not 0; repeated in the reply; 0 in events
 *   offset 12  i32  status         0, or in a reply the positive errno of what failed
 *   offset 16  u32  header flags   HEADER_FLAG_*
 *   offset 20  u32  body length    bytes of the body, wherever it is
 *
 * The body is a sequence of TLVs: u16 tag, u16 flags (TLV_FLAG_*), u32 length, then length bytes of value. A value is one of
 *   u32, u64   exactly 4 or 8 bytes                      bool   a u32, 0 or 1
 *   string     bytes without NUL, not terminated         bytes  anything
 *   group      a sequence of TLVs again (depth at most MAX_GROUP_DEPTH)
 * A list is a repeated tag, in the order of the list. Order between different tags means nothing. A tag that is not a list and comes
 * twice is an error (EBADMSG). A missing optional tag means null, 0, false or the empty list.
 *
 * A reader that does not know a tag ignores it when TLV_FLAG_OPTIONAL is set, and else refuses the message: status EPROTO and
 * TAG_ERROR_TAG. An unknown message type is answered with status ENOSYS.
 *
 * A body longer than MAX_INLINE_BODY_BYTES travels in a memfd (offset 0, at least body length long) which is then the first fd of the
 * packet, with HEADER_FLAG_BODY_IN_MEMFD, and the packet is the header alone. At most MAX_BODY_BYTES.
 *
 * File descriptors go by SCM_RIGHTS. A TAG_*_FD value (u32) is an index into the packet's fds, the memfd of the body not counted.
 * The receiver owns what it received. At most MAX_FDS in a packet, the memfd counted.
 *
 * Replies come in any order: match them by request id. A reply with status != 0 carries TAG_ERROR_STAGE, and TAG_ERROR_PATH where there
 * is one; nothing was changed then, except where a message says otherwise.
 *
 * The first message on a connection is HELLO in both directions (request and reply); anything else before it is refused (EPROTO). The
 * listener answers with the version agreed on: the lower one of the two highest; when that is below TAG_MIN_VERSION of either side:
 * EPROTONOSUPPORT. Events are sent to every connection that has said HELLO.
 */
#ifndef BERTH_PROTOCOL_H
#define BERTH_PROTOCOL_H

#include "protocol-tags.h"

enum protocol_constant {
	/* "BRTH" as bytes */
	PROTOCOL_MAGIC = 0x48545242,
	PROTOCOL_VERSION = 1,
	/* The lowest that this build still speaks. */
	PROTOCOL_MIN_VERSION = 1,
	HEADER_BYTES = 24,
	TLV_HEADER_BYTES = 8,
	MAX_INLINE_BODY_BYTES = 65536,
	MAX_BODY_BYTES = 16777216,
	MAX_FDS = 250,
	MAX_GROUP_DEPTH = 8,
	/* Sandbox, container and exec ids: [A-Za-z0-9_.-], not starting with a dot. */
	MAX_ID_BYTES = 128,
};

enum header_flag {
	HEADER_FLAG_BODY_IN_MEMFD = 1,
	HEADER_FLAG_REPLY = 2,
	HEADER_FLAG_EVENT = 4,
};

enum tlv_flag {
	TLV_FLAG_OPTIONAL = 1,
};

/*
 * Requests say what they carry, "->" what the reply carries. [..] is optional, * a list.
 * Launcher:   HELLO CREATE_MONITOR LIST_MONITORS FORGET_POD SHUTDOWN, events MONITOR_LOST
 * Monitor:    HELLO CREATE_CONTAINER START SIGNAL REMOVE REOPEN_LOG LIST EXEC EXEC_KILL RESIZE DESTROY ATTACH DETACH CLOSE_STDIN,
 *             events EXITED EXEC_EXITED ATTACH_ENDED
 * Launcher <-> monitor: ADOPT KEEP DROP
 */
enum message_type {
	/* MIN_VERSION, ROLE -> MIN_VERSION, ROLE, PID, [SANDBOX_ID: a monitor's]. */
	MESSAGE_HELLO = 1,

	/* SANDBOX_ID, NAMESPACES, [HOSTNAME], SYSCTL*, [SHM_SIZE_BYTES], [CGROUP], [USER_NAMESPACE] -> PID. The monitor listens when the reply comes.
	 * EEXIST: the pod has a live monitor. */
	MESSAGE_CREATE_MONITOR = 16,
	/* -> MONITOR* {SANDBOX_ID, PID}. Those that are alive. */
	MESSAGE_LIST_MONITORS = 17,
	/* SANDBOX_ID, [CGROUP: directories to remove, parents first] -> nothing. For a pod whose monitor is lost: removes its run directory with
	 * the exit records. EBUSY: its monitor is alive, or processes of the pod are still dying. Idempotent. */
	MESSAGE_FORGET_POD = 18,
	/* -> nothing. EBUSY: monitors are alive. The launcher ends after the reply. */
	MESSAGE_SHUTDOWN = 19,

	/* A LaunchSpec, see the tags CONTAINER_ID … LAUNCH_FLAGS, [OCI] -> PID, UID, GID, SUPPLEMENTAL_GID*. The init is parked when the reply comes.
	 * With OCI the runtime's binary makes it; PID 0: there will be none, START tells why. Of PROCESS only ARG (to be named), USER, OOM_SCORE_ADJ and TTY count. */
	MESSAGE_CREATE_CONTAINER = 32,
	/* CONTAINER_ID -> STARTED_AT_NS. Status != 0 with stage "exec": the exit (127 or 126) is reported by EXITED as any other. */
	MESSAGE_START = 33,
	/* CONTAINER_ID, SIGNO, [ALL] -> nothing. No error when the process is gone. ENOENT: unknown container. */
	MESSAGE_SIGNAL = 34,
	/* CONTAINER_ID -> nothing. Idempotent: unknown is success. The reply comes when its processes and cgroups are gone (EBUSY: they would not). */
	MESSAGE_REMOVE = 35,
	/* CONTAINER_ID, [LOG_DIR_FD: the directory anew] -> nothing. */
	MESSAGE_REOPEN_LOG = 36,
	/* -> CONTAINER* {CONTAINER_ID, PID, PHASE, STARTED_AT_NS, [EXIT_CODE, FINISHED_AT_NS, OOM_KILLED, when exited]}. */
	MESSAGE_LIST = 37,
	/* CONTAINER_ID, EXEC_ID, PROCESS, CGROUP_JOIN*, [STDIN_FD], [STDOUT_FD], [STDERR_FD], [LAUNCH_FLAGS], [OCI] -> PID, [fd 0: the terminal's
	 * master when PROCESS has TTY, non-blocking]. Missing stdio is /dev/null; with TTY the three are not allowed. The reply comes after the exec succeeded;
	 * status != 0 with stage "exec": it failed, nothing runs, no EXEC_EXITED follows. */
	MESSAGE_EXEC = 38,
	/* EXEC_ID -> nothing. SIGKILL to the exec's process tree. Idempotent; EXEC_EXITED still follows. */
	MESSAGE_EXEC_KILL = 39,
	/* CONTAINER_ID or EXEC_ID, COLUMNS, ROWS -> nothing. ENOTTY without a terminal. */
	MESSAGE_RESIZE = 40,
	/* -> nothing. Kills every container, removes cgroups, socket and run directory of the pod; the monitor ends after the reply.
	 * EBUSY: something would not die; what is left stays and DESTROY may be repeated. */
	MESSAGE_DESTROY = 41,
	/* CONTAINER_ID, ATTACH_ID, [STDOUT_FD, STDERR_FD: write ends of pipes], [WITH_STDIN], [STDIN_ONCE] -> [TTY], [fd 0: with WITH_STDIN, where the
	 * container has an input that is not closed: the write end of its stdin, or its terminal, non-blocking]. From now on the pipes get what the
	 * container writes (a terminal's output goes to STDOUT_FD), besides the log; nothing of before. What a full pipe does not take follows from the
	 * log, which keeps nobody waiting; what is in no log any more is skipped and counted. With STDIN_ONCE the container's stdin is closed when
	 * this attachment ends. It ends by DETACH, with the connection, or after the container: when its pipes have all, or at REMOVE.
	 * ENOENT: unknown container. ESRCH: it has exited. EEXIST: ATTACH_ID is taken. EBUSY: too many are attached. */
	MESSAGE_ATTACH = 42,
	/* ATTACH_ID -> nothing. The pipes are closed; no ATTACH_ENDED follows. Idempotent. */
	MESSAGE_DETACH = 43,
	/* CONTAINER_ID -> nothing. Closes the container's stdin for good; a terminal has none to close. Idempotent. ENOENT: unknown container. */
	MESSAGE_CLOSE_STDIN = 44,
	/* ATTACH_ID, SKIPPED_BYTES. Sent to the connection that attached, after its pipes were closed: the container has ended. */
	MESSAGE_EVENT_ATTACH_ENDED = 45,

	/* CONTAINER_ID, [CGROUP: the keeper puts its processes there], [LOG], [STDOUT_FD], [STDERR_FD]: what to read its output from, [STDIN_FD]: to be held open, [ROOTFS, PROCESS: its USER,
	 * VOLUME_DIR*] -> [UID, GID, SUPPLEMENTAL_GID*: with ROOTFS]. A container whose process is another's (a shim's): the monitor has its log and its end.
	 * SIGNAL and EXEC are not for it. Nothing is mounted any more when the reply comes. */
	MESSAGE_CREATE_FOREIGN = 54,
	/* CONTAINER_ID, PID, STARTED_AT_NS -> nothing. */
	MESSAGE_FOREIGN_STARTED = 55,
	/* CONTAINER_ID, EXIT_CODE, FINISHED_AT_NS, OOM_KILLED -> nothing. EXITED follows once its output has ended, 2 s later at most. */
	MESSAGE_FOREIGN_EXITED = 56,

	/* SANDBOX_ID. Comes after the launcher killed what was left of the pod and wrote the exit records. */
	MESSAGE_EVENT_MONITOR_LOST = 64,
	/* CONTAINER_ID, EXIT_CODE, FINISHED_AT_NS, OOM_KILLED. The exit record is written before. */
	MESSAGE_EVENT_EXITED = 65,
	/* EXEC_ID, CONTAINER_ID, EXIT_CODE. Sent to the connection that asked for the exec. */
	MESSAGE_EVENT_EXEC_EXITED = 66,

	/* Launcher to monitor, on a connection of its own: from now on I am your launcher. -> nothing; a KEEP for each container follows. */
	MESSAGE_ADOPT = 96,
	/* Monitor to launcher, no reply: CONTAINER_ID, PID, CGROUP_JOIN*: those to kill in, PIDFD_FD, LOG_PIPE_FD*: read ends to hold. */
	MESSAGE_KEEP = 97,
	/* Monitor to launcher, no reply: CONTAINER_ID. It ended, or was never started and is gone: nothing to hold any more. */
	MESSAGE_DROP = 98,
};

enum role {
	ROLE_DAEMON = 1,
	ROLE_LAUNCHER = 2,
	ROLE_MONITOR = 3,
};

enum phase {
	PHASE_CREATED = 1,
	PHASE_RUNNING = 2,
	PHASE_EXITED = 3,
};

enum pod_namespace {
	POD_NAMESPACE_NETWORK = 1,
	POD_NAMESPACE_IPC = 2,
	POD_NAMESPACE_UTS = 4,
	POD_NAMESPACE_PID = 8,
};

enum pid_namespace {
	PID_NAMESPACE_NEW = 0,
	PID_NAMESPACE_POD = 1,
	PID_NAMESPACE_HOST = 2,
	PID_NAMESPACE_TARGET = 3,
};

enum cgroup_namespace {
	CGROUP_NAMESPACE_NEW = 0,
	CGROUP_NAMESPACE_HOST = 1,
};

enum propagation {
	PROPAGATION_PRIVATE = 0,
	PROPAGATION_SLAVE = 1,
	PROPAGATION_SHARED = 2,
};

enum mount_kind {
	MOUNT_KIND_FILESYSTEM = 1,
	MOUNT_KIND_BIND = 2,
	MOUNT_KIND_SHM = 3,
	MOUNT_KIND_CGROUP = 4,
	MOUNT_KIND_IMAGE = 250,
};

enum stdin_kind {
	STDIN_NULL = 0,
	/* The monitor keeps the write end. */
	STDIN_PIPE = 1,
};

enum groups_policy {
	GROUPS_POLICY_MERGE = 0,
	GROUPS_POLICY_STRICT = 1,
};

enum oci_insert {
	OCI_INSERT_NOTHING = 0,
	/* The bundle's directory, as the inside of a JSON string. Below it: rootfs; mounts/<n>, of the n-th MOUNT (from 0) when it is BIND, SHM or IMAGE;
	 * pidns, with PID_NAMESPACE_POD or _TARGET. */
	OCI_INSERT_BUNDLE = 1,
	/* The user as resolved in the rootfs, a JSON object: uid, gid, additionalGids. */
	OCI_INSERT_USER = 2,
	/* "HOME=…", of the user's entry in the rootfs's passwd, as a JSON string. */
	OCI_INSERT_HOME = 3,
	/* Options that the mount mounts/<n> has ("ro", "nosuid", …), JSON strings with commas between: the first time of the first BIND, SHM or IMAGE, then of the next. */
	OCI_INSERT_MOUNT_OPTIONS = 4,
};

enum launch_flag {
	/* The seccomp program lets the init's own last steps pass (recvmsg, sendmsg, capset, execve, exit_group): load it before the
	 * init parks, which takes its cost out of START. Else it is loaded after the release, right before the exec. */
	LAUNCH_FLAG_SECCOMP_BEFORE_PARK = 1,
	/* EXEC: orphans of the command's become its own children while it runs, so that EXEC_KILL finds all of them, whatever session they are of. */
	LAUNCH_FLAG_KEEP_ORPHANS = 2,
};

/*
 * Exit records: <run dir>/pods/<sandbox id>/exits/<container id>, written whole by rename, one line:
 *   "1 <exit code> <finished at ns> <oom killed 0|1> <started at ns> <pid>\n"
 * The first number is the format; a reader takes later ones as long as the fields that it knows keep their place.
 */
enum exit_record {
	EXIT_RECORD_FORMAT = 1,
};

#endif
