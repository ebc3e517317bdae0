// power-disk IMAGE LOG DIR: a disk whose every write and flush is written down.
//
// Serves, at the empty directory DIR, a file system with one file, "disk", over the raw FUSE protocol (linux/fuse.h): its content is the file IMAGE. Before a
// request is answered it is appended to LOG: what was written where, and each flush, in the order in which the disk took them. A loop device over "disk" turns
// a file system's writes into WRITE and its barriers into FSYNC, so LOG tells what a real disk's cache could have lost at any moment.
// Says "ready" on stdout once it serves; ends when DIR is unmounted. One thread: the order in LOG is the order of the answers.
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_WRITE_BYTES = 1 << 20, REQUEST_BYTES = MAX_WRITE_BYTES + 4096, FILE_NODE = 2 };
// Same as in write-log.ts.
enum record_kind { RECORD_WRITE = 1, RECORD_FLUSH = 2 };
struct record {
	uint64_t kind, offset, length;
};
static const char FILE_NAME[] = "disk";

static int fuse_fd, image_fd, log_fd;
static off_t image_bytes;
static char *data_buffer;

static void fail(const char *what) {
	fprintf(stderr, "power-disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void answer(const struct fuse_in_header *request, int error, const void *body, size_t length) {
	struct fuse_out_header header = {.len = sizeof header + length, .error = -error, .unique = request->unique};
	struct iovec parts[] = {{&header, sizeof header}, {(void *)body, length}};
	// ENOENT: the caller was interrupted and waits no more.
	if (writev(fuse_fd, parts, length == 0 ? 1 : 2) < 0 && errno != ENOENT) fail("answer to the kernel");
}

static void refuse(const struct fuse_in_header *request, int error) { answer(request, error, NULL, 0); }

static void append(enum record_kind kind, uint64_t offset, const void *data, size_t length) {
	struct record record = {.kind = kind, .offset = offset, .length = length};
	struct iovec parts[] = {{&record, sizeof record}, {(void *)data, length}};
	ssize_t written = writev(log_fd, parts, length == 0 ? 1 : 2);
	if (written >= 0 && (size_t)written != sizeof record + length) errno = ENOSPC;
	if (written < 0 || (size_t)written != sizeof record + length) fail("log");
}

static struct fuse_attr attributes(uint64_t node) {
	struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096, .mode = S_IFDIR | 0700};
	if (node == FILE_NODE) {
		attr.mode = S_IFREG | 0600;
		attr.size = image_bytes;
		attr.blocks = image_bytes / 512;
	}
	return attr;
}

static void init(const struct fuse_in_header *request, const struct fuse_init_in *in) {
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO,
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = MAX_WRITE_BYTES,
		.max_pages = MAX_WRITE_BYTES / 4096,
		.time_gran = 1,
	};
	answer(request, 0, &out, sizeof out);
}

static void lookup(const struct fuse_in_header *request, const char *name) {
	if (request->nodeid != FUSE_ROOT_ID || strcmp(name, FILE_NAME) != 0) return refuse(request, ENOENT);
	struct fuse_entry_out out = {.nodeid = FILE_NODE, .entry_valid = 3600, .attr_valid = 3600, .attr = attributes(FILE_NODE)};
	answer(request, 0, &out, sizeof out);
}

static void get_attributes(const struct fuse_in_header *request) {
	struct fuse_attr_out out = {.attr_valid = 3600, .attr = attributes(request->nodeid)};
	answer(request, 0, &out, sizeof out);
}

static void read_data(const struct fuse_in_header *request, const struct fuse_read_in *in) {
	ssize_t length = pread(image_fd, data_buffer, in->size < MAX_WRITE_BYTES ? in->size : MAX_WRITE_BYTES, in->offset);
	if (length < 0) fail("read of the image");
	answer(request, 0, data_buffer, length);
}

static void write_data(const struct fuse_in_header *request, const struct fuse_write_in *in) {
	const char *data = (const char *)(in + 1);
	if (in->offset + in->size > (uint64_t)image_bytes) return refuse(request, ENOSPC);
	append(RECORD_WRITE, in->offset, data, in->size);
	if (pwrite(image_fd, data, in->size, in->offset) != (ssize_t)in->size) fail("write of the image");
	struct fuse_write_out out = {.size = in->size};
	answer(request, 0, &out, sizeof out);
}

static void serve(const struct fuse_in_header *request) {
	const void *body = request + 1;
	const struct fuse_open_out opened = {.fh = 1};
	const struct fuse_statfs_out space = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
	switch (request->opcode) {
	case FUSE_INIT: return init(request, body);
	case FUSE_LOOKUP: return lookup(request, body);
	case FUSE_GETATTR:
	case FUSE_SETATTR: return get_attributes(request);
	case FUSE_OPEN:
	case FUSE_OPENDIR: return answer(request, 0, &opened, sizeof opened);
	case FUSE_READ: return read_data(request, body);
	case FUSE_WRITE: return write_data(request, body);
	case FUSE_STATFS: return answer(request, 0, &space, sizeof space);
	case FUSE_FSYNC: append(RECORD_FLUSH, 0, NULL, 0); return refuse(request, 0);
	// close(2), which no disk hears of.
	case FUSE_FLUSH:
	case FUSE_READDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_DESTROY: return refuse(request, 0);
	// These want no answer.
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: return;
	// Among them FALLOCATE: zeros are then written, which the log can hold.
	default: return refuse(request, ENOSYS);
	}
}

static int open_or_fail(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0) fail(path);
	return fd;
}

int main(int argc, char **argv) {
	if (argc != 4) return fprintf(stderr, "usage: power-disk IMAGE LOG DIR\n"), 2;
	image_fd = open_or_fail(argv[1], O_RDWR);
	log_fd = open_or_fail(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
	image_bytes = lseek(image_fd, 0, SEEK_END);
	fuse_fd = open_or_fail("/dev/fuse", O_RDWR);
	// Allocated memory must not wait for write-back, which waits for this process. Not all kernels allow it; then there is memory enough or the test fails.
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	char options[128];
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse_fd);
	if (mount("power-disk", argv[3], "fuse", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0) fail("mount");
	puts("ready");
	fflush(stdout);
	char *buffer = aligned_alloc(4096, REQUEST_BYTES);
	data_buffer = aligned_alloc(4096, MAX_WRITE_BYTES);
	if (buffer == NULL || data_buffer == NULL) fail("memory");
	for (;;) {
		ssize_t length = read(fuse_fd, buffer, REQUEST_BYTES);
		// ENODEV: unmounted. ENOENT: a request that was taken back.
		if (length < 0 && errno == ENODEV) break;
		if (length < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
		if (length < (ssize_t)sizeof(struct fuse_in_header)) fail("request of the kernel");
		serve((const struct fuse_in_header *)buffer);
	}
	free(buffer);
	free(data_buffer);
	return 0;
}
