#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <string>

#include "inflate.h"
#include "ring.h"
#include "sha256.h"
#include "thread.h"

namespace berth::unpack {

struct LayerRequest {
	std::string targetDir;
	Compression compression = Compression::kNone;
	uint64_t maxBytes = 0;
	uint64_t maxInodes = 0;
};

struct LayerSums {
	std::string digest;  // of the stream as it came
	std::string diffId;  // of the decompressed stream
	uint64_t compressedBytes = 0;
	uint64_t uncompressedBytes = 0;
	uint64_t diskBytes = 0;
	uint64_t inodes = 0;
	bool opaqueRoot = false;
	std::string unnamedDirectories;  // each ends with a NUL byte; parents first
	int landlockVersion = 0;
};

// Compressed bytes in, files out. The calling thread decompresses; a confined thread of the layer's own reads the archive and writes the
// files. Every method may throw Failure or bad_alloc; after that only the destructor may run.
class LayerUnpacker final : private Output {
public:
	LayerUnpacker(const LayerRequest& request, const std::atomic<bool>& aborted);
	~LayerUnpacker() override;
	void Write(const uint8_t* data, size_t size);
	LayerSums Finish();

private:
	std::span<uint8_t> Room() override;
	void Took(size_t sizeBytes) override;
	template <class Step> void Guarded(Step step);
	void Flush();
	void WriteFiles(std::promise<void>& opened);

	const LayerRequest request_;
	const std::atomic<bool>& aborted_;
	Sha256 digest_;
	LayerSums sums_;
	std::unique_ptr<Decompressor> decompressor_;
	uint8_t* slot_ = nullptr;
	size_t slotBytes_ = 0;
	Ring ring_;
	// The writer's: whole_ tells it that the end of the ring is the end of the layer, failure_ tells what stopped it.
	std::atomic<bool> whole_{false};
	std::exception_ptr failure_;
	Thread writer_;
};

}  // namespace berth::unpack
