/* Limits, user and groups, capabilities, no_new_privs, seccomp. Raw system calls: there is one thread. */
#include "../kernel.h"
#include "../connection-io.h"
#include "filter.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define CAP_VERSION_3 0x20080522u
#define CAP_BIT(number) (1ULL << (number))
#define CAP_SYS_ADMIN_BIT CAP_BIT(21)
#define SECCOMP_SET_MODE_FILTER_ 1

enum { MAX_CAPABILITY = 63, MAX_FILTER = 4096, FILTER_BYTES = 8 };

static int set_capabilities(const struct capability_sets *sets)
{
	struct {
		uint32_t version;
		int pid;
	} header = {CAP_VERSION_3, 0};
	struct {
		uint32_t effective, permitted, inheritable;
	} data[2];
	for (unsigned i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(sets->effective >> 32 * i);
		data[i].permitted = (uint32_t)(sets->permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(sets->inheritable >> 32 * i);
	}
	return (int)syscall(SYS_capset, &header, data);
}

static uint64_t permitted_now(void)
{
	struct {
		uint32_t version;
		int pid;
	} header = {CAP_VERSION_3, 0};
	struct {
		uint32_t effective, permitted, inheritable;
	} data[2] = {{0}};
	if (syscall(SYS_capget, &header, data) != 0)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

int raise_permitted(void)
{
	struct {
		uint32_t version;
		int pid;
	} header = {CAP_VERSION_3, 0};
	struct {
		uint32_t effective, permitted, inheritable;
	} data[2] = {{0}};
	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	return (int)syscall(SYS_capset, &header, data);
}

int set_rlimits(struct init *init)
{
	struct span rest = init->process;
	struct span one;
	while (next_with_tag(&rest, TAG_RLIMIT, &one)) {
		uint64_t limit[2] = {get_u64(one, TAG_SOFT, 0), get_u64(one, TAG_HARD, 0)};
		if (syscall(SYS_prlimit64, 0, get_u32(one, TAG_RESOURCE, 0), limit, NULL) != 0)
			return fail(&init->report.failure, errno, "set rlimit");
	}
	return 0;
}

/* What the machine itself lacks cannot be given: a privileged container gets all that there is. */
static struct capability_sets wanted_sets(struct span capabilities, uint64_t available)
{
	struct capability_sets sets;
	sets.permitted = get_u64(capabilities, TAG_PERMITTED, 0) & available;
	sets.effective = get_u64(capabilities, TAG_EFFECTIVE, 0) & sets.permitted;
	sets.inheritable = get_u64(capabilities, TAG_INHERITABLE, 0) & get_u64(capabilities, TAG_BOUNDING, 0) & available;
	return sets;
}

static int drop_bounding(uint64_t bounding)
{
	for (unsigned i = 0; i <= MAX_CAPABILITY; i++) {
		if (bounding & CAP_BIT(i))
			continue;
		/* EINVAL: beyond the last one that the kernel knows. */
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
			return errno == EINVAL ? 0 : -1;
	}
	return 0;
}

static int raise_ambient(uint64_t ambient)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned i = 0; i <= MAX_CAPABILITY; i++)
		if ((ambient & CAP_BIT(i)) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
			return -1;
	return 0;
}

static int load_seccomp(struct init *init, struct span program)
{
	if (program.length % FILTER_BYTES != 0 || program.length / FILTER_BYTES > MAX_FILTER)
		return fail(&init->report.failure, EINVAL, "load seccomp");
	struct {
		uint16_t count;
		const void *filter;
	} argument = {(uint16_t)(program.length / FILTER_BYTES), program.bytes};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, 0, &argument) != 0)
		return fail(&init->report.failure, errno, "load seccomp");
	return 0;
}

static int drop_to_wanted(struct init *init)
{
	return set_capabilities(&init->capabilities) == 0 ? 0 : fail(&init->report.failure, errno, "set capabilities");
}

/* Every system call that may come between now and the exec. */
static bool passes_last_steps(const struct init *init, struct span program)
{
	bool inside = init->job->inside_pidfd >= 0;
	bool terminal = get_u32(init->process, TAG_TTY, 0) != 0;
	bool keep_orphans = (get_u32(init->job->body, TAG_LAUNCH_FLAGS, 0) & LAUNCH_FLAG_KEEP_ORPHANS) != 0;
	uint64_t control = (uint64_t)init->job->control_fd;
	const struct {
		struct filter_call call;
		bool needed;
	} steps[] = {
		{{{0}, SYS_execve}, true},
		{{{1}, SYS_exit_group}, true},
		{{{control, 0, 1}, SYS_read}, true},
		{{{control, 0, MSG_NOSIGNAL}, SYS_sendmsg}, true},
		{{{0}, SYS_capset}, init->drop_later},
		{{{CLONE_SIBLING_FLAGS}, SYS_clone}, inside},
		{{{0}, SYS_setsid}, inside},
		{{{0, TIOCSCTTY, 0}, SYS_ioctl}, terminal},
		{{{PR_SET_CHILD_SUBREAPER, 1}, SYS_prctl}, keep_orphans},
	};
	for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (steps[i].needed && !filter_passes(program, &steps[i].call))
			return false;
	return true;
}

/* Out of the message. */
static int copy_program(struct init *init, struct span *program)
{
	uint8_t *copy = malloc(program->length);
	if (copy == NULL)
		return fail(&init->report.failure, ENOMEM, "load seccomp");
	memcpy(copy, program->bytes, program->length);
	program->bytes = copy;
	return 0;
}

int settle_seccomp(struct init *init)
{
	struct span program = get_span_or_empty(init->process, TAG_SECCOMP);
	bool asked_for = (get_u32(init->job->body, TAG_LAUNCH_FLAGS, 0) & LAUNCH_FLAG_SECCOMP_BEFORE_PARK) != 0;
	bool inside = init->job->inside_pidfd >= 0;
	bool filtered = program.length > 0;
	bool now = filtered && (asked_for || passes_last_steps(init, program));
	/* Others would see this process with a capability that the container has not. */
	if (filtered && !now && inside && init->drop_later)
		return fail_at(&init->report.failure, EACCES, "load seccomp", "without no_new_privs the profile must allow clone, read, sendmsg, capset, setsid");
	if (filtered && copy_program(init, &program) != 0)
		return -1;
	if (inside)
		forget_message();
	if (!now) {
		init->seccomp_later = program;
		return 0;
	}
	bool drop = init->drop_later;
	return load_seccomp(init, program) != 0 || (drop && drop_to_wanted(init) != 0) ? -1 : 0;
}

int finish_credentials(struct init *init)
{
	if (init->seccomp_later.length == 0)
		return 0;
	return load_seccomp(init, init->seccomp_later) != 0 || (init->drop_later && drop_to_wanted(init) != 0) ? -1 : 0;
}

static int become_ids(const struct init_report *report, struct failure *failure)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return fail(failure, errno, "keep capabilities");
	if (syscall(SYS_setgroups, report->gid_count, report->gids) != 0)
		return fail(failure, errno, "set groups");
	if (syscall(SYS_setresgid, report->gid, report->gid, report->gid) != 0)
		return fail(failure, errno, "set group");
	if (syscall(SYS_setresuid, report->uid, report->uid, report->uid) != 0)
		return fail(failure, errno, "set user");
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	return 0;
}

int become_user(struct init *init)
{
	struct failure *failure = &init->report.failure;
	struct span capabilities = get_span_or_empty(init->process, TAG_CAPABILITIES);
	bool no_new_privileges = get_u32(init->process, TAG_NO_NEW_PRIVILEGES, 0) != 0;
	init->capabilities = wanted_sets(capabilities, permitted_now());
	struct capability_sets sets = init->capabilities;
	/* Without no_new_privs a filter is loaded with CAP_SYS_ADMIN only: kept until then, which is before the exec. */
	init->drop_later = get_span_or_empty(init->process, TAG_SECCOMP).length > 0 && !no_new_privileges;
	if (init->drop_later) {
		sets.permitted |= CAP_SYS_ADMIN_BIT;
		sets.effective |= CAP_SYS_ADMIN_BIT;
	}
	if (drop_bounding(get_u64(capabilities, TAG_BOUNDING, 0)) != 0)
		return fail(failure, errno, "drop capabilities");
	if (become_ids(&init->report, failure) != 0)
		return -1;
	if (set_capabilities(&sets) != 0)
		return fail(failure, errno, "set capabilities");
	if (raise_ambient(get_u64(capabilities, TAG_AMBIENT, 0) & init->capabilities.permitted & init->capabilities.inheritable) != 0)
		return fail(failure, errno, "raise ambient capabilities");
	/* A change of user made it what fs.suid_dumpable says. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? fail(failure, errno, "set no_new_privs") : 0;
}
