#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace berth::unpack {

enum class Compression { kNone, kGzip, kZstd };

// Takes pieces of a compressed stream, hands on what they decompress to. Throws Corrupt.
class Decompressor {
public:
	using Output = std::function<void(const uint8_t*, size_t)>;
	virtual ~Decompressor() = default;
	virtual void Write(const uint8_t* data, size_t size, const Output& output) = 0;
	// The stream ended. Throws Corrupt when it is not whole.
	virtual void Finish() = 0;
};

std::unique_ptr<Decompressor> MakeDecompressor(Compression compression);

}  // namespace berth::unpack
