/* Tests of what is read from the log of an OCI runtime's binary: cases of runc 1.1.5 and crun 1.8.1, and random bytes. Ends with "N passed, N failed". */
#include "kernel.h"
#include "monitor/oci-words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned passed, failed;

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("failed: %s\n", what);
}

static void check_message(const char *log, const char *expected)
{
	char message[128];
	bool found = oci_last_message(span_of(log), message, sizeof message);
	check(found == (expected != NULL) && (!found || strcmp(message, expected) == 0), log);
}

static void messages(void)
{
	check_message("", NULL);
	check_message("\n\n", NULL);
	check_message("panic: no JSON\n", NULL);
	check_message("{\"level\":\"error\",\"msg\":\"broken\",\"time\":\"x\"}\n", "broken");
	check_message("{\"msg\":\"without an end\",\"level\":\"error\"}", "without an end");
	check_message("{\"level\":\"error\",\"msg\":\"the cause\"}\n{\"level\":\"warning\",\"msg\":\"later\"}\n", "the cause");
	check_message("{\"level\":\"warning\",\"msg\":\"one\"}\n{\"level\":\"warning\",\"msg\":\"two\"}\n", "two");
	check_message("{\"level\":\"error\",\"msg\":\"one\"}\n{\"level\":\"fatal\",\"msg\":\"two\"}\n", "two");
	check_message("{\"level\":\"error\",\"msg\":\"exec: \\\"a\\\\b\\\": no\\n\\u00e4x\"}\n", "exec: \"a\\b\": no ?x");
	check_message("{\"level\":\"error\",\"msg\":\"cut \\u00", "cut ?");
	check_message("{\"level\":\"error\",\"msg\":\"cut \\", "cut \\");
	char small[4];
	check(oci_last_message(span_of("{\"level\":\"error\",\"msg\":\"longer\"}"), small, sizeof small) && strcmp(small, "lon") == 0, "cut to what fits");
}

static void check_error(const char *message, int expected)
{
	check(oci_exec_error(message) == expected, message);
}

static void errors(void)
{
	check_error("runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH", ENOENT);
	check_error("runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory", ENOENT);
	check_error("runc create failed: unable to start container process: exec: \"/adir\": permission denied", EACCES);
	check_error("exec failed: unable to start container process: exec: \"/junk\": exec format error", ENOEXEC);
	check_error("executable file `nope` not found in $PATH: No such file or directory", ENOENT);
	check_error("open executable: Permission denied", EACCES);
	check_error("open executable: Operation not permitted", EACCES);
	check_error("runc create failed: unable to start container process: error during container init: error mounting \"/x\": no such file or directory", 0);
	check_error("mount `proc` to `/proc`: Permission denied", 0);
	check_error("", 0);
}

/* The sanitizers see what reads too far. */
static void random_logs(void)
{
	enum { ROUNDS = 20000, MAX_BYTES = 200 };
	static const char *const pieces[] = {"{", "\"msg\":\"", "\"level\":\"error\"", "\\", "\\u", "\"", "\n", "x", "\\u00e4", "}"};
	srand(7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		char message[32];
		uint8_t *log = malloc(MAX_BYTES);
		uint32_t length = 0;
		while (length < MAX_BYTES - 20 && rand() % 30 != 0) {
			const char *piece = pieces[(unsigned)rand() % (sizeof pieces / sizeof pieces[0])];
			memcpy(log + length, piece, strlen(piece));
			length += (uint32_t)strlen(piece);
		}
		uint8_t *exact = realloc(log, length == 0 ? 1 : length);
		if (oci_last_message((struct span){exact, length}, message, sizeof message) && strlen(message) >= sizeof message)
			failed++;
		free(exact);
	}
	passed++;
	printf("%u random logs\n", (unsigned)ROUNDS);
}

int main(void)
{
	messages();
	errors();
	random_logs();
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
