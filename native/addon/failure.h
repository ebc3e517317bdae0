// What can go wrong in native code, and file descriptors that close themselves.
#pragma once

#include <cerrno>
#include <string>
#include <unistd.h>
#include <utility>

namespace berth {

// A failed syscall: what was being done, errno, on which path. errno 0: the caller's value is wrong and `stage` says how.
struct Failure {
	std::string stage;
	int error = 0;
	std::string path;
};

[[noreturn]] inline void Fail(std::string stage, std::string path = "") {
	const int error = errno;
	throw Failure{std::move(stage), error, std::move(path)};
}

class Fd {
public:
	Fd() = default;
	explicit Fd(int fd) : fd_(fd) {}
	Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
	Fd& operator=(Fd&& other) noexcept {
		if (this != &other) Reset(std::exchange(other.fd_, -1));
		return *this;
	}
	~Fd() { Reset(); }

	int get() const { return fd_; }
	bool valid() const { return fd_ >= 0; }
	int Release() { return std::exchange(fd_, -1); }
	void Reset(int fd = -1) {
		if (fd_ >= 0) {
			const int kept = errno;
			close(fd_);
			errno = kept;
		}
		fd_ = fd;
	}

private:
	int fd_ = -1;
};

}  // namespace berth
