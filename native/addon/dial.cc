// TCP connections to ports of a pod: a socket is of the network namespace it was made in, wherever it is used from.
#include "addon.h"
#include "work.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <chrono>
#include <system_error>
#include <thread>

namespace berth {

namespace {

struct Dialled {
	Fd socket;
	int error = 0;
	const char* stage = "";
};

int ToTimeout(std::chrono::steady_clock::time_point end) {
	const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
	return left < 0 ? 0 : static_cast<int>(left);
}

// 0, or the errno.
int ConnectWithin(int socket, const sockaddr* address, socklen_t length, std::chrono::steady_clock::time_point end) {
	if (connect(socket, address, length) == 0) return 0;
	if (errno != EINPROGRESS) return errno;
	pollfd waited = {socket, POLLOUT, 0};
	int ready = 0;
	while ((ready = poll(&waited, 1, ToTimeout(end))) < 0 && errno == EINTR) continue;
	if (ready <= 0) return ready == 0 ? ETIMEDOUT : errno;
	int error = 0;
	socklen_t size = sizeof error;
	return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

// 127.0.0.1, then ::1: what listens on either is the pod's localhost.
Dialled DialLocalhost(int port, std::chrono::steady_clock::time_point end) {
	sockaddr_in v4 = {};
	v4.sin_family = AF_INET;
	v4.sin_port = htons(static_cast<uint16_t>(port));
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sockaddr_in6 v6 = {};
	v6.sin6_family = AF_INET6;
	v6.sin6_port = v4.sin_port;
	v6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
	const std::pair<const sockaddr*, socklen_t> addresses[] = {
		{reinterpret_cast<const sockaddr*>(&v4), sizeof v4},
		{reinterpret_cast<const sockaddr*>(&v6), sizeof v6},
	};
	Dialled dialled;
	for (const auto& [address, length] : addresses) {
		Fd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
		const int error = socket.valid() ? ConnectWithin(socket.get(), address, length, end) : errno;
		if (error == 0) {
			const int on = 1;
			setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
			return {std::move(socket), 0, ""};
		}
		// The first one's word counts: a pod without IPv6 says nothing of interest.
		if (dialled.error == 0) dialled = {Fd(), error, "connect to localhost"};
	}
	return dialled;
}

// On a thread of its own, which ends with it: a worker would have to find its way back to the host's namespace.
Fd Dial(const std::string& netnsPath, int port, int timeoutMs) {
	const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeoutMs);
	Dialled dialled;
	auto dial = [&] {
		if (!netnsPath.empty()) {
			Fd netns(open(netnsPath.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
			if (!netns.valid() || setns(netns.get(), CLONE_NEWNET) != 0) {
				dialled = {Fd(), errno, "enter network namespace"};
				return;
			}
		}
		dialled = DialLocalhost(port, end);
	};
	try {
		std::thread(dial).join();
	} catch (const std::system_error& error) {
		throw Failure{"start a thread", error.code().value(), ""};
	}
	if (dialled.error != 0) throw Failure{dialled.stage, dialled.error, ":" + std::to_string(port)};
	return std::move(dialled.socket);
}

v8::Local<v8::Value> SocketToJs(Fd& fd) {
	return Nan::New(fd.Release());
}

// dialPod(netnsPath ('': the host's), port, timeoutMs, callback(failure, fd))
NAN_METHOD(DialPod) {
	Arguments arguments(info);
	std::string netnsPath = arguments.String();
	const int port = arguments.Int();
	const int timeoutMs = arguments.Int();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Fd>(callback, [=] { return Dial(netnsPath, port, timeoutMs); }, SocketToJs);
}

}  // namespace

void InitDial(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "dialPod", DialPod);
}

}  // namespace berth
