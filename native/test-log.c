/* Tests of CRI log lines: fixed cases, and random output in random pieces that must come back whole. Ends with "N passed, N failed". */
#include "kernel.h"
#include "monitor/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { STAMP_BYTES = 30, CAPACITY = 1 << 20 };

static unsigned passed, failed;
static char written[CAPACITY];

static void check(bool right, const char *what)
{
	right ? passed++ : failed++;
	if (!right)
		printf("failed: %s\n", what);
}

struct fixture {
	struct log_file log;
	struct stream stream;
	int input_fd;
};

static void open_fixture(struct fixture *fixture, uint32_t max_line_bytes)
{
	int ends[2];
	char path[] = "/tmp/berth-log-XXXXXX";
	memset(fixture, 0, sizeof *fixture);
	fixture->log.dir_fd = -1;
	fixture->log.max_line_bytes = max_line_bytes;
	fixture->log.fd = mkstemp(path);
	unlink(path);
	if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) < 0 || stream_open(&fixture->stream, ends[0], "stdout", &fixture->log) != 0)
		abort();
	fixture->input_fd = ends[1];
}

static void put(struct fixture *fixture, const char *bytes, size_t length)
{
	if (write(fixture->input_fd, bytes, length) != (ssize_t)length)
		abort();
	fixture->stream.watch.ready(&fixture->stream.watch, EPOLLIN);
}

/* Ends the stream and reads the log, times cut away: "stdout F a\n...". */
static size_t finish(struct fixture *fixture)
{
	static char raw[CAPACITY];
	size_t length = 0;
	close(fixture->input_fd);
	stream_finish(&fixture->stream);
	ssize_t got = pread(fixture->log.fd, raw, sizeof raw - 1, 0);
	close(fixture->log.fd);
	raw[got < 0 ? 0 : got] = 0;
	for (char *at = raw; *at != 0;) {
		char *end = strchr(at, '\n');
		if (end == NULL || end - at <= STAMP_BYTES || at[10] != 'T' || at[29] != 'Z' || at[30] != ' ') {
			strcpy(written, "not a log line");
			return strlen(written);
		}
		size_t line = (size_t)(end + 1 - at) - STAMP_BYTES - 1;
		memcpy(written + length, at + STAMP_BYTES + 1, line);
		length += line;
		at = end + 1;
	}
	written[length] = 0;
	return length;
}

static void expect(uint32_t max_line_bytes, const char *const *pieces, const char *wanted, const char *what)
{
	struct fixture fixture;
	open_fixture(&fixture, max_line_bytes);
	for (; *pieces != NULL; pieces++)
		put(&fixture, *pieces, strlen(*pieces));
	finish(&fixture);
	check(strcmp(written, wanted) == 0, what);
	if (strcmp(written, wanted) != 0)
		printf("  has: %s  not: %s", written, wanted);
}

static void test_cases(void)
{
	expect(8, (const char *[]){"a\nbc\n", NULL}, "stdout F a\nstdout F bc\n", "two lines");
	expect(8, (const char *[]){"a", "b\n", NULL}, "stdout F ab\n", "a line in two writes is one line");
	expect(8, (const char *[]){"a\nb", NULL}, "stdout F a\nstdout P b\n", "a last line without its end is a fragment");
	expect(8, (const char *[]){"\n\n", NULL}, "stdout F \nstdout F \n", "empty lines");
	expect(8, (const char *[]){"12345678\n", NULL}, "stdout F 12345678\n", "a line of just the limit");
	expect(8, (const char *[]){"123456789\n", NULL}, "stdout P 12345678\nstdout F 9\n", "one byte over the limit");
	expect(8, (const char *[]){"1234567", "89abcdefg", "h\n", NULL}, "stdout P 12345678\nstdout P 9abcdefg\nstdout F h\n", "a long line in pieces");
	expect(8, (const char *[]){"a\r\n", NULL}, "stdout F a\r\n", "carriage returns stay");
	expect(8, (const char *[]){NULL}, "", "nothing");
}

/* What the lines say, put together again, is what was written: for any bytes, sizes and limits. */
static bool round_trip(unsigned seed)
{
	static char input[200000];
	struct fixture fixture;
	srand(seed);
	uint32_t limit = 1 + (uint32_t)rand() % (seed % 2 ? 64 : 20000);
	size_t length = (size_t)rand() % (limit < 16 ? 2000 : sizeof input);
	for (size_t i = 0; i < length; i++)
		input[i] = (char)(rand() % (1 + rand() % 200) == 0 ? '\n' : 1 + rand() % 255);
	open_fixture(&fixture, limit);
	for (size_t at = 0; at < length;) {
		size_t piece = 1 + (size_t)rand() % 70000;
		if (piece > length - at)
			piece = length - at;
		put(&fixture, input + at, piece);
		at += piece;
	}
	size_t log_length = finish(&fixture);
	size_t at = 0;
	for (size_t i = 0; i < log_length;) {
		char *end = memchr(written + i, '\n', log_length - i);
		size_t line = (size_t)(end - (written + i));
		bool full = written[i + 7] == 'F';
		size_t content = line - 9;
		if (memcmp(written + i, "stdout ", 7) != 0 || content > limit || at + content > length || memcmp(input + at, written + i + 9, content) != 0)
			return false;
		at += content;
		if (full && (at >= length || input[at++] != '\n'))
			return false;
		i += line + 1;
	}
	return at == length;
}

static void test_full_disk(void)
{
	struct fixture fixture;
	open_fixture(&fixture, 100);
	close(fixture.log.fd);
	fixture.log.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	put(&fixture, "lost\n", 5);
	check(fixture.log.dropped_bytes > 5, "what a full disk does not take is counted");
	close(fixture.input_fd);
	stream_finish(&fixture.stream);
	check(fixture.stream.watch.fd == -1, "the stream is closed all the same");
	close(fixture.log.fd);
}

/* A pipe whose write end is the tap's; returns its read end. */
static int open_tapped(struct tap *tap, struct fixture *fixture)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		abort();
	tap_open(tap, &fixture->stream, ends[1]);
	return ends[0];
}

static size_t read_all(int fd)
{
	static char bytes[65536];
	size_t length = 0;
	ssize_t got;
	while ((got = read(fd, bytes, sizeof bytes)) > 0)
		length += (size_t)got;
	return length;
}

/* All that a tap gives, which it has room for again and again as it is read. */
static size_t catch_up(struct tap *tap, int fd, char *into)
{
	size_t length = 0;
	ssize_t got;
	for (unsigned idle = 0; idle < 2;) {
		got = read(fd, into + length, CAPACITY);
		length += got > 0 ? (size_t)got : 0;
		idle = got > 0 ? 0 : idle + 1;
		if (got == 0)
			break;
		if (tap->watch.fd >= 0)
			tap->watch.ready(&tap->watch, EPOLLOUT);
	}
	return length;
}

static void test_taps(void)
{
	enum { PIECE_BYTES = 60000, PIECES = 40 };
	static char piece[PIECE_BYTES];
	static char seen[PIECE_BYTES * PIECES + CAPACITY];
	struct fixture fixture;
	struct tap gone, slow, quick;
	char bytes[16] = {0};
	open_fixture(&fixture, 100);
	int gone_fd = open_tapped(&gone, &fixture), slow_fd = open_tapped(&slow, &fixture), quick_fd = open_tapped(&quick, &fixture);
	put(&fixture, "a\nbc", 4);
	put(&fixture, "d", 1);
	check(read(quick_fd, bytes, sizeof bytes) == 5 && memcmp(bytes, "a\nbcd", 5) == 0, "a tap gets the bytes as they come, not lines");
	close(gone_fd);
	memset(piece, 'x', sizeof piece);
	size_t quick_bytes = 0;
	for (unsigned i = 0; i < PIECES; i++) {
		put(&fixture, piece, sizeof piece);
		quick_bytes += read_all(quick_fd);
	}
	check(quick_bytes == PIECE_BYTES * PIECES && tap_skipped_bytes(&quick) == 0, "who reads gets everything");
	check(gone.watch.fd == -1, "a tap that nobody reads any more is closed");
	tap_close(&gone);
	check(slow.lagging && tap_skipped_bytes(&slow) > 0, "a full pipe is not waited for");
	size_t slow_bytes = catch_up(&slow, slow_fd, seen);
	check(slow_bytes == 5 + PIECE_BYTES * PIECES && tap_skipped_bytes(&slow) == 0 && !slow.lagging, "who reads late gets the rest out of the log");
	check(memcmp(seen, "a\nbcdx", 6) == 0 && seen[slow_bytes - 1] == 'x', "and in order");
	put(&fixture, "z", 1);
	check(read(slow_fd, bytes, sizeof bytes) == 1 && bytes[0] == 'z', "then goes on");
	finish(&fixture);
	check(read(quick_fd, bytes, sizeof bytes) == 1 && read(quick_fd, bytes, sizeof bytes) == 0, "the stream's end is the tap's");
	struct tap late;
	int late_fd = open_tapped(&late, &fixture);
	check(read(late_fd, bytes, sizeof bytes) == 0, "a tap of a stream that has ended is closed at once");
	tap_close(&late);
	tap_close(&late);
	tap_close(&slow);
	check(fixture.stream.taps == &quick && quick.next == NULL, "a tap that is closed is out of the list");
	close(slow_fd);
	close(quick_fd);
	close(late_fd);
}

/* Without a log nothing can be read late. */
static void test_tap_without_log(void)
{
	static char piece[60000], seen[60000 * 40 + CAPACITY];
	struct fixture fixture;
	struct tap tap;
	open_fixture(&fixture, 100);
	close(fixture.log.fd);
	fixture.log.fd = -1;
	int fd = open_tapped(&tap, &fixture);
	for (unsigned i = 0; i < 40; i++)
		put(&fixture, piece, sizeof piece);
	size_t got = catch_up(&tap, fd, seen);
	check(!tap.lagging && got >= 65536 && got + tap_skipped_bytes(&tap) == 40 * sizeof piece, "what is missed is counted");
	tap_close(&tap);
	close(fixture.input_fd);
	stream_finish(&fixture.stream);
	close(fd);
}

/* A client that reads now and then, among another stream's lines, over files that follow each other, gets just what was written. */
static bool tap_round_trip(unsigned seed)
{
	static char input[4 << 20], seen[(4 << 20) + CAPACITY];
	struct fixture fixture;
	struct stream other;
	struct tap tap;
	int ends[2];
	size_t length = 0, got = 0;
	srand(seed);
	open_fixture(&fixture, 1 + (uint32_t)rand() % (seed % 2 ? 64 : 20000));
	memset(&other, 0, sizeof other);
	if (pipe2(ends, O_CLOEXEC) != 0 || stream_open(&other, ends[0], "stderr", &fixture.log) != 0)
		abort();
	put(&fixture, "of before", 9);
	int fd = open_tapped(&tap, &fixture);
	(void)fcntl(fd, F_SETPIPE_SZ, 4096);
	for (unsigned i = 0; i < 40; i++) {
		size_t piece = 1 + (size_t)rand() % 60000;
		for (size_t j = 0; j < piece; j++)
			input[length + j] = (char)(rand() % (1 + rand() % 100) == 0 ? '\n' : 1 + rand() % 255);
		put(&fixture, input + length, piece);
		length += piece;
		if (rand() % 3 == 0 && write(ends[1], "other\n", 6) == 6)
			other.watch.ready(&other.watch, EPOLLIN);
		for (int reads = rand() % 12; reads > 0; reads--) {
			ssize_t some = read(fd, seen + got, (size_t)(1 + rand() % 20000));
			got += some > 0 ? (size_t)some : 0;
			if (tap.lagging)
				tap.watch.ready(&tap.watch, EPOLLOUT);
		}
		/* Another file follows once the client is in the last one. */
		if (seed % 3 == 0 && rand() % 10 == 0 && (!tap.lagging || tap.log_number == fixture.log.number)) {
			char path[] = "/tmp/berth-log-XXXXXX";
			int next = mkstemp(path);
			unlink(path);
			close(fixture.log.fd);
			fixture.log.fd = next;
			fixture.log.number++;
			fixture.log.began_at = 0;
		}
	}
	close(fixture.input_fd);
	stream_finish(&fixture.stream);
	got += catch_up(&tap, fd, seen + got);
	bool right = got == length && memcmp(seen, input, length) == 0 && tap.watch.fd == -1 && tap_skipped_bytes(&tap) == 0;
	tap_close(&tap);
	close(fd);
	close(ends[1]);
	stream_finish(&other);
	close(fixture.log.fd);
	return right;
}

/* In the log's place: what is no file is refused, and nobody waits for its reader. The log that was open stays so. */
static void test_special_files(void)
{
	char path[] = "/tmp/berth-log-XXXXXX";
	struct log_file log = {.fd = -1, .name = "log"};
	if (mkdtemp(path) == NULL || (log.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		abort();
	check(log_open(&log) == 0 && log.number == 1, "a missing log is made");
	int before = log.fd;
	if (renameat(log.dir_fd, "log", log.dir_fd, "log.1") != 0 || mkfifoat(log.dir_fd, "log", 0600) != 0)
		abort();
	check(log_open(&log) == ENXIO && log.fd == before, "a FIFO that nobody reads is refused");
	int reader = openat(log.dir_fd, "log", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check(log_open(&log) == EINVAL && log.fd == before && log.number == 1, "one that somebody reads as well");
	close(reader);
	unlinkat(log.dir_fd, "log", 0);
	check(log_open(&log) == 0 && log.number == 2, "a new file is taken");
	unlinkat(log.dir_fd, "log", 0);
	unlinkat(log.dir_fd, "log.1", 0);
	rmdir(path);
	log_close(&log);
}

int main(void)
{
	enum { ROUNDS = 400, TAP_ROUNDS = 30 };
	unsigned wrong = 0;
	signal(SIGPIPE, SIG_IGN);
	if (loop_open() != 0)
		return 1;
	test_cases();
	test_full_disk();
	test_special_files();
	test_taps();
	test_tap_without_log();
	for (unsigned seed = 1; seed <= ROUNDS; seed++)
		if (!round_trip(seed)) {
			wrong++;
			printf("seed %u\n", seed);
		}
	check(wrong == 0, "random output comes back whole");
	for (unsigned seed = 1; seed <= TAP_ROUNDS; seed++)
		if (!tap_round_trip(seed)) {
			wrong++;
			printf("tap seed %u\n", seed);
		}
	check(wrong == 0, "random output reaches a client that lags");
	printf("%u random outputs\n%u passed, %u failed\n", ROUNDS, passed, failed);
	return failed != 0;
}
