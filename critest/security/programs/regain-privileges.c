/*
 * regain-privileges ALLOWED UID: tries to have more than the capabilities ALLOWED (hexadecimal, as in /proc/<pid>/status) and, where UID is not "any",
 * another effective user: by programs of the image that are setuid (/setuid) or have file capabilities (/filecaps), by ambient and inheritable
 * sets, by user namespaces. "gained …" for what an exec changed within what is allowed, "FOUND …" beyond it, "user namespace made" for one.
 * With "report LABEL ALLOWED UID" it is the program that was run by such an exec and looks at itself.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPABILITY_VERSION_3 0x20080522u

static unsigned long tries;

/* capget(2): the C library has no types for it. */
struct capability_header {
	unsigned version;
	int pid;
};
struct capability_data {
	unsigned effective, permitted, inheritable;
};

struct sets {
	unsigned long long permitted, effective, inheritable;
};

static struct sets read_sets(void)
{
	struct capability_header header = {CAPABILITY_VERSION_3, 0};
	struct capability_data data[2] = {{0}};
	struct sets sets = {0};
	if (syscall(SYS_capget, &header, data) != 0)
		return sets;
	sets.permitted = data[0].permitted | (unsigned long long)data[1].permitted << 32;
	sets.effective = data[0].effective | (unsigned long long)data[1].effective << 32;
	sets.inheritable = data[0].inheritable | (unsigned long long)data[1].inheritable << 32;
	return sets;
}

static int write_sets(struct sets sets)
{
	struct capability_header header = {CAPABILITY_VERSION_3, 0};
	struct capability_data data[2];
	for (unsigned i = 0; i < 2; i++)
		data[i] = (struct capability_data){(unsigned)(sets.effective >> 32 * i), (unsigned)(sets.permitted >> 32 * i), (unsigned)(sets.inheritable >> 32 * i)};
	return (int)syscall(SYS_capset, &header, data);
}

static void look_at_self(const char *label, unsigned long long allowed, const char *uid)
{
	struct sets sets = read_sets();
	unsigned long long bounding = 0;
	for (int i = 0; i < 63; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			bounding |= 1ull << i;
	if (((sets.permitted | sets.effective | sets.inheritable | bounding) & ~allowed) != 0)
		printf("FOUND capabilities by %s: permitted %llx effective %llx inheritable %llx bounding %llx of %llx\n", label, sets.permitted, sets.effective,
		       sets.inheritable, bounding, allowed);
	if (strcmp(uid, "any") != 0 && (geteuid() != (uid_t)atoi(uid) || sets.permitted != 0))
		printf("FOUND privileges by %s: user %d capabilities %llx\n", label, geteuid(), sets.permitted);
	else if (geteuid() != getuid() || (getuid() != 0 && sets.permitted != 0))
		printf("gained by %s: user %d capabilities %llx\n", label, geteuid(), sets.permitted);
	fflush(stdout);
}

/* `prepare` in the child; then `program` reports. */
static void try_exec(const char *program, const char *label, char **arguments, void (*prepare)(void))
{
	int status = 0;
	tries++;
	pid_t pid = fork();
	if (pid == 0) {
		if (prepare != NULL)
			prepare();
		char *argv[] = {(char *)program, "report", (char *)label, arguments[1], arguments[2], NULL};
		execv(program, argv);
		/* EPERM: file capabilities that the bounding set has not, asked for as effective. */
		_exit(errno == EPERM ? 0 : 9);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		printf("exec of %s failed: %d\n", program, status);
}

static void raise_ambient(void)
{
	struct sets sets = read_sets();
	sets.inheritable = ~0ull >> 23;
	write_sets(sets);
	for (int i = 0; i < 41; i++) {
		struct sets one = read_sets();
		one.inheritable |= 1ull << i;
		write_sets(one);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0);
	}
	prctl(PR_SET_SECUREBITS, 0, 0, 0, 0);
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

static void become_root(void)
{
	raise_ambient();
	(void)!setresuid(0, 0, 0);
	raise_ambient();
}

static void try_sets(unsigned long long allowed)
{
	for (int i = 0; i < 41; i++) {
		struct sets sets = read_sets();
		if ((allowed >> i & 1) != 0)
			continue;
		tries++;
		sets.permitted |= 1ull << i;
		sets.effective |= 1ull << i;
		if (write_sets(sets) == 0)
			printf("FOUND capset of %d\n", i);
		tries++;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) == 0)
			printf("FOUND ambient %d\n", i);
	}
}

/* All capabilities in a user namespace are none over what belongs to the one outside. */
static void try_outside(void)
{
	char name[64];
	if (gethostname(name, sizeof name) == 0 && sethostname(name, strlen(name)) == 0)
		printf("FOUND the pod's name set from a user namespace\n");
	fflush(stdout);
}

static void try_user_namespace(void)
{
	/* Each in a child: a namespace once entered is not left. By clone too, whose filter is another. */
	static const int flags[] = {CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWNS, CLONE_NEWUSER | CLONE_NEWNET};
	for (unsigned i = 0; i < 2 * sizeof flags / sizeof flags[0]; i++) {
		int status;
		pid_t pid = i % 2 == 0 ? fork() : (pid_t)syscall(SYS_clone, flags[i / 2] | 17 /* SIGCHLD */, 0, 0, 0, 0);
		tries++;
		if (pid == 0) {
			bool made = i % 2 == 1 || unshare(flags[i / 2]) == 0;
			if (made)
				try_outside();
			_exit(made);
		}
		if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1)
			printf("user namespace made\n");
	}
	fflush(stdout);
}

int main(int count, char **arguments)
{
	if (count == 5 && strcmp(arguments[1], "report") == 0) {
		look_at_self(arguments[2], strtoull(arguments[3], NULL, 16), arguments[4]);
		return 0;
	}
	if (count != 3)
		return 2;
	unsigned long long allowed = strtoull(arguments[1], NULL, 16);
	static const char *const programs[] = {"/setuid", "/filecaps", "/plain"};
	look_at_self("start", allowed, arguments[2]);
	for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		char label[64];
		try_exec(programs[i], programs[i], arguments, NULL);
		snprintf(label, sizeof label, "%s with ambient sets", programs[i]);
		try_exec(programs[i], label, arguments, raise_ambient);
		snprintf(label, sizeof label, "%s as root", programs[i]);
		try_exec(programs[i], label, arguments, become_root);
	}
	try_sets(allowed);
	fflush(stdout);
	try_user_namespace();
	printf("tries %lu\n", tries);
	return 0;
}
