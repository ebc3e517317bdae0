// File descriptors that JavaScript hands on: connections, pipes, files in memory, directories, locks.
#include "addon.h"
#include "work.h"

#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

namespace berth {

namespace {

v8::Local<v8::Value> FdToJs(Fd& fd) {
	return Nan::New(fd.Release());
}

// The address of a socket whose path may be longer than sun_path: through the directory's descriptor, which `dir` keeps.
sockaddr_un SocketAddress(const std::string& path, Fd& dir) {
	sockaddr_un address = {};
	address.sun_family = AF_UNIX;
	std::string name = path;
	if (path.size() >= sizeof address.sun_path) {
		const size_t slash = path.rfind('/');
		dir.Reset(open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (!dir.valid()) Fail("open directory of socket", path);
		name = "/proc/self/fd/" + std::to_string(dir.get()) + path.substr(slash);
	}
	if (name.size() >= sizeof address.sun_path) throw Failure{"connect to", ENAMETOOLONG, path};
	memcpy(address.sun_path, name.data(), name.size());
	return address;
}

// Waits at most `timeoutMs` for a place in the listener's queue.
Fd Connect(const std::string& path, int timeoutMs) {
	Fd dir;
	const sockaddr_un address = SocketAddress(path, dir);
	Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	if (!socket.valid()) Fail("make a socket");
	const timeval timeout = {timeoutMs / 1000, (timeoutMs % 1000) * 1000};
	if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) Fail("set a socket's timeout");
	if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) Fail("connect to", path);
	return socket;
}

// connect(path, timeoutMs, callback(failure, fd))
NAN_METHOD(ConnectSeqpacket) {
	Arguments arguments(info);
	std::string path = arguments.String();
	const int timeoutMs = arguments.Int();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Fd>(callback, [=] { return Connect(path, timeoutMs); }, FdToJs);
}

// Sends one datagram to systemd's notification socket; sd_notify(3): '@' stands for the NUL of an abstract address.
void Notify(const std::string& path, const std::string& state) {
	Fd dir;
	sockaddr_un address = {};
	socklen_t length = sizeof address;
	if (path.starts_with('@')) {
		if (path.size() > sizeof address.sun_path) throw Failure{"notify", ENAMETOOLONG, path};
		address.sun_family = AF_UNIX;
		memcpy(address.sun_path + 1, path.data() + 1, path.size() - 1);
		length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
	} else {
		address = SocketAddress(path, dir);
	}
	Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	if (!socket.valid()) Fail("make a socket");
	const timeval timeout = {1, 0};
	if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) Fail("set a socket's timeout");
	if (sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length) < 0) {
		Fail("notify", path);
	}
}

// notify(path, state, callback)
NAN_METHOD(NotifySystemd) {
	Arguments arguments(info);
	std::string path = arguments.String();
	std::string state = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { Notify(path, state); });
}

// openDirectory(path, callback(failure, fd)): O_PATH.
NAN_METHOD(OpenDirectory) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Fd>(callback, [=] {
		Fd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (!fd.valid()) Fail("open directory", path);
		return fd;
	}, FdToJs);
}

v8::Local<v8::Value> PairToJs(const int ends[2]) {
	v8::Local<v8::Array> array = Nan::New<v8::Array>(2);
	Nan::Set(array, 0, Nan::New(ends[0])).Check();
	Nan::Set(array, 1, Nan::New(ends[1])).Check();
	return array;
}

// pipe(): [read end, write end]
NAN_METHOD(Pipe) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) return Nan::ThrowError(Nan::ErrnoException(errno, "pipe2"));
	info.GetReturnValue().Set(PairToJs(ends));
}

// socketPair(): the two ends of a SOCK_SEQPACKET connection.
NAN_METHOD(SocketPair) {
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return Nan::ThrowError(Nan::ErrnoException(errno, "socketpair"));
	info.GetReturnValue().Set(PairToJs(ends));
}

// memoryFile(bytes): fd of a file in memory with this content.
NAN_METHOD(MemoryFile) {
	Arguments arguments(info);
	std::string_view bytes = arguments.Bytes();
	if (!arguments.ok()) return;
	Fd file(memfd_create("berth-body", MFD_CLOEXEC));
	if (!file.valid()) return Nan::ThrowError(Nan::ErrnoException(errno, "memfd_create"));
	for (size_t at = 0; at < bytes.size();) {
		const ssize_t count = pwrite(file.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
		if (count < 0 && errno != EINTR) return Nan::ThrowError(Nan::ErrnoException(errno, "pwrite"));
		if (count > 0) at += static_cast<size_t>(count);
	}
	info.GetReturnValue().Set(file.Release());
}

// readMemoryFile(fd, length): its first bytes. Only for files in memory, which never block; fewer when it is shorter.
NAN_METHOD(ReadMemoryFile) {
	Arguments arguments(info);
	const int fd = arguments.Int();
	const int length = arguments.Int();
	if (!arguments.ok()) return;
	struct stat status;
	// A pipe or a file of a slow disk sent in its place would block the event loop.
	if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &status) != 0) return Nan::ThrowError(Nan::ErrnoException(errno, "fcntl"));
	std::string bytes(static_cast<size_t>(std::min<off_t>(std::max(length, 0), status.st_size)), '\0');
	size_t at = 0;
	while (at < bytes.size()) {
		const ssize_t count = pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
		if (count < 0 && errno == EINTR) continue;
		if (count <= 0) break;
		at += static_cast<size_t>(count);
	}
	info.GetReturnValue().Set(ToBuffer({bytes.data(), at}));
}

// closeFds(fds)
NAN_METHOD(CloseFds) {
	Arguments arguments(info);
	v8::Local<v8::Array> numbers = arguments.Array();
	if (!arguments.ok()) return;
	for (uint32_t i = 0; i < numbers->Length(); i++) {
		const int fd = Nan::To<int32_t>(Nan::Get(numbers, i).ToLocalChecked()).FromMaybe(-1);
		if (fd > STDERR_FILENO) close(fd);
	}
}

// Makes the FIFO when it is missing. The reader does not wait for writers, nor the writer (which holds a reading end too) for readers.
Fd OpenFifo(const std::string& path, bool write) {
	if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) Fail("make a FIFO", path);
	Fd fifo(open(path.c_str(), (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
	if (!fifo.valid()) Fail("open a FIFO", path);
	struct stat status;
	if (fstat(fifo.get(), &status) != 0) Fail("open a FIFO", path);
	if (!S_ISFIFO(status.st_mode)) throw Failure{"open a FIFO", EEXIST, path};
	return fifo;
}

// openFifo(path, write, callback(failure, fd))
NAN_METHOD(OpenFifoAt) {
	Arguments arguments(info);
	std::string path = arguments.String();
	const int write = arguments.Int();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Fd>(callback, [=] { return OpenFifo(path, write != 0); }, FdToJs);
}

// lockFile(path, callback(failure, fd)): -1 when another holds the lock
NAN_METHOD(LockFile) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Fd>(callback, [=] {
		Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
		if (!file.valid()) Fail("open", path);
		if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
		if (errno != EWOULDBLOCK) Fail("lock", path);
		return Fd();
	}, FdToJs);
}

}  // namespace

void InitDescriptors(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "connect", ConnectSeqpacket);
	Nan::SetMethod(exports, "notify", NotifySystemd);
	Nan::SetMethod(exports, "openDirectory", OpenDirectory);
	Nan::SetMethod(exports, "pipe", Pipe);
	Nan::SetMethod(exports, "socketPair", SocketPair);
	Nan::SetMethod(exports, "memoryFile", MemoryFile);
	Nan::SetMethod(exports, "readMemoryFile", ReadMemoryFile);
	Nan::SetMethod(exports, "closeFds", CloseFds);
	Nan::SetMethod(exports, "openFifo", OpenFifoAt);
	Nan::SetMethod(exports, "lockFile", LockFile);
}

}  // namespace berth
