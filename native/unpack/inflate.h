#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace berth::unpack {

enum class Compression { kNone, kGzip, kZstd };

// Where decompressed bytes go: room is asked for, filled from its beginning, and what was filled is told. May throw Failure.
class Output {
public:
	virtual ~Output() = default;
	// Never empty.
	virtual std::span<uint8_t> Room() = 0;
	virtual void Took(size_t sizeBytes) = 0;
};

// Takes pieces of a compressed stream, hands on what they decompress to. Throws Corrupt.
class Decompressor {
public:
	virtual ~Decompressor() = default;
	virtual void Write(const uint8_t* data, size_t size, Output& output) = 0;
	// The stream ended. Throws Corrupt when it is not whole.
	virtual void Finish() = 0;
};

std::unique_ptr<Decompressor> MakeDecompressor(Compression compression);

}  // namespace berth::unpack
