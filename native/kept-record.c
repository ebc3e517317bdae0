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
	for (const char *join = path_list_next(joins, NULL); join != NULL; join = path_list_next(joins, join)) {
		text_add(&text, join);
		text_add(&text, "\n");
	}
	int fd = openat(pod_directory_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* Cut or half written, the first line is still there, which matters most. */
	(void)!write(fd, content, text.length);
	close(fd);
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

int read_kept_record(int pod_directory_fd, const char *container_id, pid_t *pid, struct path_list *joins)
{
	char path[MAX_ID_BYTES + 8];
	char content[4096];
	int pidfd = -1;
	*pid = 0;
	name_record(path, sizeof path, container_id);
	int fd = openat(pod_directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t length = fd < 0 ? -1 : read(fd, content, sizeof content);
	if (fd >= 0)
		close(fd);
	for (ssize_t at = 0; at < length;) {
		const char *end = memchr(content + at, '\n', (size_t)(length - at));
		if (end == NULL)
			break;
		struct span line = {(const uint8_t *)content + at, (uint32_t)(end - content - at)};
		if (at == 0)
			pidfd = open_process(line, pid);
		else if (line.length > 0 && line.bytes[0] == '/')
			path_list_add(joins, line);
		at = end - content + 1;
	}
	return pidfd;
}
