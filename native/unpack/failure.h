#pragma once
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace berth::unpack {

enum class FailureKind {
	kCorrupt,  // the stream or the archive is malformed, truncated or hostile
	kLimit,    // maxBytes or maxInodes is reached
	kSyscall,  // the kernel refused something
	kAborted,  // abort() was called
};

// What stops an unpacking. Thrown and caught inside the worker thread only: it never reaches V8 or the top of a thread.
class Failure : public std::exception {
public:
	Failure(FailureKind kind, std::string message) : kind_(kind), text_(std::move(message)) {}
	// `error` is the positive errno; `entry` the archive's name for what was being written.
	Failure(std::string stage, int error, std::string entry)
		: kind_(FailureKind::kSyscall), text_(std::move(stage)), entry_(std::move(entry)), error_(error) {}

	FailureKind kind() const { return kind_; }
	// The message, or the stage of a failed syscall.
	const std::string& text() const { return text_; }
	const std::string& entry() const { return entry_; }
	int error() const { return error_; }
	const char* what() const noexcept override { return text_.c_str(); }

private:
	FailureKind kind_;
	std::string text_;
	std::string entry_;
	int error_ = 0;
};

// A name from an archive as printable ASCII in quotes, shortened: it goes into messages and logs.
std::string Quote(std::string_view name);

[[noreturn]] void Corrupt(const std::string& message);
// Says which entry is wrong and why: entry "etc/../../x": …
[[noreturn]] void CorruptEntry(std::string_view entry, const std::string& why);

}  // namespace berth::unpack
