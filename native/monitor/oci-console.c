/* The socket to which an OCI runtime sends the master of the container's terminal (runc's --console-socket). */
#include "../kernel.h"
#include "../passed-fd.h"
#include "oci.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void receive_terminal(struct oci_console *console)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char name[256];
	struct iovec iov = {name, sizeof name};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t length = recvmsg(console->peer.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int fd = length < 0 ? -1 : take_passed_fd(&header);
	if (fd >= 0) {
		if (console->terminal_fd >= 0)
			close(console->terminal_fd);
		console->terminal_fd = fd;
	}
	loop_close(&console->peer);
}

static void on_peer(struct watch *watch, uint32_t events)
{
	(void)events;
	receive_terminal(WATCH_OWNER(watch, struct oci_console, peer));
}

static void take_peer(struct oci_console *console)
{
	int fd = accept4(console->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	/* One terminal: a second sender is none of ours. */
	if (console->peer.fd >= 0 || loop_watch(&console->peer, fd, EPOLLIN, on_peer) != 0)
		close(fd);
}

static void on_listener(struct watch *watch, uint32_t events)
{
	(void)events;
	take_peer(WATCH_OWNER(watch, struct oci_console, listener));
}

int oci_console_listen(struct oci_console *console, int directory_fd, const char *name, struct failure *failure)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct text path = text_over(address.sun_path, sizeof address.sun_path);
	/* sun_path holds 107 bytes only. */
	text_add(&path, "/proc/self/fd/");
	text_add_u64(&path, (uint64_t)directory_fd);
	text_add(&path, "/");
	text_add(&path, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || path.cut)
		return fail_at(failure, fd < 0 ? errno : ENAMETOOLONG, "console socket", name);
	mode_t old = umask(0177);
	int result = bind(fd, (struct sockaddr *)&address, sizeof address);
	int error = errno;
	umask(old);
	if (result == 0 && listen(fd, 1) == 0 && loop_watch(&console->listener, fd, EPOLLIN, on_listener) == 0)
		return 0;
	error = result != 0 ? error : errno;
	close(fd);
	return fail_at(failure, error, "console socket", name);
}

int oci_console_finish(struct oci_console *console)
{
	/* The sender may be gone before the loop came to what it sent. */
	if (console->listener.fd >= 0 && console->peer.fd < 0)
		take_peer(console);
	if (console->peer.fd >= 0)
		receive_terminal(console);
	loop_close(&console->peer);
	loop_close(&console->listener);
	int fd = console->terminal_fd;
	console->terminal_fd = -1;
	return fd;
}
