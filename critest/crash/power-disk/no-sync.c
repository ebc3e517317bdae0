// Preloaded into a daemon (ld.so(8), LD_PRELOAD): its syncs say that they are done and do nothing. With it the power-cut test must find damage.
#include <unistd.h>

int fsync(int fd) {
	(void)fd;
	return 0;
}
int fdatasync(int fd) {
	(void)fd;
	return 0;
}
int syncfs(int fd) {
	(void)fd;
	return 0;
}
void sync(void) {}
