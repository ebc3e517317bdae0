#include "kernel.h"
#include "kept-record.h"

#include <string.h>

/* Ticks after boot, field 22 of /proc/<pid>/stat (proc(5)); 0 when there is no such process. With the pid it is never another process's. */
static uint64_t start_time(pid_t pid)
{
	enum { FIELDS_AFTER_NAME = 20 };
	char path[64];
	char content[1024];
	struct text text = text_over(path, sizeof path);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	ssize_t length = read_file_in(path, "stat", content, sizeof content - 1);
	if (length <= 0)
		return 0;
	content[length] = 0;
	/* The name may hold anything, also spaces and parentheses. */
	char *at = strrchr(content, ')');
	for (unsigned i = 0; at != NULL && i < FIELDS_AFTER_NAME; i++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return 0;
	uint64_t ticks = 0;
	size_t digits = strspn(at + 1, "0123456789");
	return span_to_u64((struct span){(const uint8_t *)at + 1, (uint32_t)digits}, UINT64_MAX, &ticks) ? ticks : 0;
}

static void name_record(char *path, size_t capacity, const char *container_id)
{
	struct text text = text_over(path, capacity);
	text_add(&text, "live/");
	text_add(&text, container_id);
}

static void write_file(int directory_fd, const char *path, const struct text *text)
{
	int fd = openat(directory_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* Cut or half written, the first line is still there, which matters most. */
	(void)!write(fd, text->bytes, text->length);
	close(fd);
}

static void add_paths(struct text *text, const struct path_list *list)
{
	for (const char *path = path_list_next(list, NULL); path != NULL; path = path_list_next(list, path)) {
		text_add(text, path);
		text_add(text, "\n");
	}
}

void write_kept_record(int pod_directory_fd, const char *container_id, pid_t pid, const struct path_list *joins)
{
	char path[MAX_ID_BYTES + 8];
	char content[4096];
	name_record(path, sizeof path, container_id);
	struct text text = text_over(content, sizeof content);
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, " ");
	text_add_u64(&text, start_time(pid));
	text_add(&text, "\n");
	add_paths(&text, joins);
	write_file(pod_directory_fd, path, &text);
}

void remove_kept_record(int pod_directory_fd, const char *container_id)
{
	char path[MAX_ID_BYTES + 8];
	name_record(path, sizeof path, container_id);
	unlinkat(pod_directory_fd, path, 0);
}

static int open_process(struct span line, pid_t *pid)
{
	const uint8_t *space = memchr(line.bytes, ' ', line.length);
	uint64_t number;
	uint64_t ticks;
	if (space == NULL)
		return -1;
	uint32_t length = (uint32_t)(space - line.bytes);
	if (!span_to_u64((struct span){line.bytes, length}, INT32_MAX, &number) ||
	    !span_to_u64((struct span){space + 1, line.length - length - 1}, UINT64_MAX, &ticks))
		return -1;
	*pid = (pid_t)number;
	int fd = kernel_pidfd_open(*pid);
	/* Looked at after the pidfd is open: from then on it cannot become another's. */
	if (fd >= 0 && ticks != 0 && start_time(*pid) == ticks)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static ssize_t read_file(int directory_fd, const char *path, char *content, size_t capacity)
{
	int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t length = fd < 0 ? -1 : read(fd, content, capacity);
	if (fd >= 0)
		close(fd);
	return length;
}

/* The next whole line, without its end. */
static bool next_line(struct span *content, struct span *line)
{
	const uint8_t *end = content->length == 0 ? NULL : memchr(content->bytes, '\n', content->length);
	if (end == NULL)
		return false;
	*line = (struct span){content->bytes, (uint32_t)(end - content->bytes)};
	content->bytes += line->length + 1;
	content->length -= line->length + 1;
	return true;
}

static void read_paths(struct span content, struct path_list *list)
{
	struct span line;
	while (next_line(&content, &line))
		if (line.length > 0 && line.bytes[0] == '/')
			path_list_add(list, line);
}

int read_kept_record(int pod_directory_fd, const char *container_id, pid_t *pid, struct path_list *joins)
{
	char path[MAX_ID_BYTES + 8];
	char content[4096];
	struct span line;
	*pid = 0;
	name_record(path, sizeof path, container_id);
	ssize_t length = read_file(pod_directory_fd, path, content, sizeof content);
	struct span rest = {(const uint8_t *)content, length < 0 ? 0 : (uint32_t)length};
	int pidfd = next_line(&rest, &line) ? open_process(line, pid) : -1;
	read_paths(rest, joins);
	return pidfd;
}

void write_pod_cgroups(int pod_directory_fd, const struct path_list *made)
{
	char content[16384];
	struct text text = text_over(content, sizeof content);
	add_paths(&text, made);
	write_file(pod_directory_fd, "cgroups", &text);
}

void read_pod_cgroups(int pod_directory_fd, struct path_list *made)
{
	char content[16384];
	ssize_t length = read_file(pod_directory_fd, "cgroups", content, sizeof content);
	read_paths((struct span){(const uint8_t *)content, length < 0 ? 0 : (uint32_t)length}, made);
}
