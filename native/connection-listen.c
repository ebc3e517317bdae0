/* Sockets with names: binding, listening, connecting. */
#include "kernel.h"
#include "connection.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Through /proc/self/fd, as sun_path holds 107 bytes only. */
static int address_in(int directory_fd, const char *name, struct sockaddr_un *address)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	struct text path = text_over(address->sun_path, sizeof address->sun_path);
	text_add(&path, "/proc/self/fd/");
	text_add_u64(&path, (uint64_t)directory_fd);
	text_add(&path, "/");
	text_add(&path, name);
	return path.cut ? ENAMETOOLONG : 0;
}

static void on_connect(struct watch *watch, uint32_t events)
{
	(void)events;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct {
		pid_t pid;
		uid_t uid;
		gid_t gid;
	} peer;
	socklen_t length = sizeof peer;
	/* The mode of the socket already keeps others out; a second lock, should someone loosen it. */
	bool trusted = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == 0 || peer.uid == geteuid());
	if (!trusted || add_connection(fd) == NULL)
		close(fd);
}

int listen_in(int directory_fd, const char *name, struct watch *listener, struct failure *failure)
{
	struct sockaddr_un address;
	int error = address_in(directory_fd, name, &address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (error != 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		return fail_at(failure, error != 0 ? error : errno, "socket", name);
	}
	unlinkat(directory_fd, name, 0);
	mode_t old = umask(0177);
	int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
	error = errno;
	umask(old);
	if (bound != 0 || listen(fd, 64) != 0 || loop_watch(listener, fd, EPOLLIN, on_connect) != 0) {
		error = bound != 0 ? error : errno;
		close(fd);
		return fail_at(failure, error, "listen", name);
	}
	return 0;
}

int connect_in(int directory_fd, const char *name)
{
	struct sockaddr_un address;
	int error = address_in(directory_fd, name, &address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (error == 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error = error != 0 ? error : errno;
	close(fd);
	errno = error;
	return -1;
}
