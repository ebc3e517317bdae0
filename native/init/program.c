/* The program itself: argv, environment, search in PATH, exec. */
#include "../kernel.h"
#include "steps.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static char *copy_span(struct span span)
{
	char *string = malloc((size_t)span.length + 1);
	if (string != NULL)
		span_to_string(span, string, (size_t)span.length + 1);
	return string;
}

static size_t count_tag(struct span body, uint16_t tag)
{
	size_t count = 0;
	struct span value;
	while (next_with_tag(&body, tag, &value))
		count++;
	return count;
}

/* NULL-terminated, with `more` free places before the end. */
static char **copy_list(struct span body, uint16_t tag, size_t more)
{
	char **list = calloc(count_tag(body, tag) + more + 1, sizeof *list);
	struct span value;
	for (size_t i = 0; list != NULL && next_with_tag(&body, tag, &value); i++)
		if ((list[i] = copy_span(value)) == NULL)
			return NULL;
	return list;
}

/* The value of the last "name=value"; NULL when missing. */
static const char *find_variable(char *const *environment, const char *name)
{
	size_t length = strlen(name);
	const char *value = NULL;
	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			value = *environment + length + 1;
	return value;
}

int build_program(struct init *init)
{
	init->arguments = copy_list(init->process, TAG_ARG, 0);
	init->environment = copy_list(init->process, TAG_ENV, 1);
	if (init->arguments == NULL || init->environment == NULL)
		return fail(&init->report.failure, ENOMEM, "environment");
	if (find_variable(init->environment, "HOME") != NULL)
		return 0;
	char home[sizeof "HOME=" + sizeof init->home];
	struct text text = text_over(home, sizeof home);
	text_add(&text, "HOME=");
	text_add(&text, init->home);
	char **end = init->environment;
	while (*end != NULL)
		end++;
	*end = copy_span(span_of(home));
	return *end != NULL ? 0 : fail(&init->report.failure, ENOMEM, "environment");
}

/* As execvp(3): one that may not be run is told of only when there is no other; anything but "not here" ends the search. */
static int search_and_exec(struct init *init, const char *name)
{
	const char *path = find_variable(init->environment, "PATH");
	int error = ENOENT;
	if (path == NULL)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (;;) {
		const char *end = strchrnul(path, ':');
		char whole[PATH_MAX];
		struct text text = text_over(whole, sizeof whole);
		text_add_span(&text, (struct span){(const uint8_t *)path, (uint32_t)(end - path)});
		text_add(&text, end == path ? "./" : "/");
		text_add(&text, name);
		if (!text.cut) {
			execve(whole, init->arguments, init->environment);
			if (errno == EACCES)
				error = EACCES;
			else if (errno != ENOENT && errno != ENOTDIR)
				return errno;
		}
		if (*end == 0)
			return error;
		path = end + 1;
	}
}

void exec_program(struct init *init)
{
	const char *name = init->arguments[0];
	int error = ENOENT;
	if (strchr(name, '/') != NULL) {
		execve(name, init->arguments, init->environment);
		error = errno;
	} else if (name[0] != 0) {
		error = search_and_exec(init, name);
	}
	fail_at(&init->report.failure, error, "exec", name);
}
