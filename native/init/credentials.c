/* Limits, user and groups, capabilities, no_new_privs, seccomp. Raw system calls: there is one thread. */
#include "../kernel.h"
#include "steps.h"

#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define CAP_VERSION_3 0x20080522u
#define CAP_BIT(number) (1ULL << (number))
#define CAP_SYS_ADMIN_BIT CAP_BIT(21)
#define SECCOMP_SET_MODE_FILTER_ 1

enum { MAX_CAPABILITY = 63, MAX_FILTER = 4096, FILTER_BYTES = 8 };

struct capability_sets {
	uint64_t effective, permitted, inheritable;
};

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

int load_seccomp(struct init *init)
{
	struct span program;
	if (!get_span(init->process, TAG_SECCOMP, &program) || program.length == 0)
		return 0;
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

int finish_credentials(struct init *init)
{
	if (!init->seccomp_later)
		return 0;
	if (load_seccomp(init) != 0)
		return -1;
	if (get_u32(init->process, TAG_NO_NEW_PRIVILEGES, 0))
		return 0;
	struct span capabilities = get_span_or_empty(init->process, TAG_CAPABILITIES);
	struct capability_sets sets = wanted_sets(capabilities, permitted_now());
	return set_capabilities(&sets) == 0 ? 0 : fail(&init->report.failure, errno, "set capabilities");
}

int become_user(struct init *init)
{
	struct init_report *report = &init->report;
	struct failure *failure = &report->failure;
	struct span capabilities = get_span_or_empty(init->process, TAG_CAPABILITIES);
	bool no_new_privileges = get_u32(init->process, TAG_NO_NEW_PRIVILEGES, 0) != 0;
	bool filtered = get_span_or_empty(init->process, TAG_SECCOMP).length > 0;
	bool before_park = filtered && (get_u32(init->job->body, TAG_LAUNCH_FLAGS, 0) & LAUNCH_FLAG_SECCOMP_BEFORE_PARK) != 0;
	init->seccomp_later = filtered && !before_park;
	struct capability_sets sets = wanted_sets(capabilities, permitted_now());
	struct capability_sets last = sets;
	/* Without no_new_privs a filter is loaded with CAP_SYS_ADMIN only: kept until then, which is before the exec. */
	if (filtered && !no_new_privileges) {
		sets.permitted |= CAP_SYS_ADMIN_BIT;
		sets.effective |= CAP_SYS_ADMIN_BIT;
	}
	if (drop_bounding(get_u64(capabilities, TAG_BOUNDING, 0)) != 0)
		return fail(failure, errno, "drop capabilities");
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return fail(failure, errno, "keep capabilities");
	if (syscall(SYS_setgroups, report->gid_count, report->gids) != 0)
		return fail(failure, errno, "set groups");
	if (syscall(SYS_setresgid, report->gid, report->gid, report->gid) != 0)
		return fail(failure, errno, "set group");
	if (syscall(SYS_setresuid, report->uid, report->uid, report->uid) != 0)
		return fail(failure, errno, "set user");
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	if (set_capabilities(&sets) != 0)
		return fail(failure, errno, "set capabilities");
	if (raise_ambient(get_u64(capabilities, TAG_AMBIENT, 0) & last.permitted & last.inheritable) != 0)
		return fail(failure, errno, "raise ambient capabilities");
	if (no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(failure, errno, "set no_new_privs");
	if (!before_park)
		return 0;
	if (load_seccomp(init) != 0)
		return -1;
	return no_new_privileges || set_capabilities(&last) == 0 ? 0 : fail(failure, errno, "set capabilities");
}
