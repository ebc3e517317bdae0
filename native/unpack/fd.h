#pragma once
#include <unistd.h>

#include <utility>

namespace berth::unpack {

// Owns a file descriptor.
class Fd {
public:
	Fd() = default;
	explicit Fd(int fd) : fd_(fd) {}
	Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
	Fd& operator=(Fd&& other) noexcept {
		if (this != &other) {
			Reset();
			fd_ = std::exchange(other.fd_, -1);
		}
		return *this;
	}
	~Fd() { Reset(); }

	int get() const { return fd_; }
	bool valid() const { return fd_ >= 0; }
	void Reset() {
		if (fd_ >= 0) close(fd_);
		fd_ = -1;
	}

private:
	int fd_ = -1;
};

}  // namespace berth::unpack
