#pragma once
#include <openssl/evp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "inflate.h"
#include "tar.h"
#include "tree.h"

namespace berth::unpack {

class Sha256 {
public:
	Sha256();
	void Update(const uint8_t* data, size_t size);
	// "sha256:…"; once.
	std::string Finish();

private:
	struct Free {
		void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
	};
	std::unique_ptr<EVP_MD_CTX, Free> context_;
};

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
};

// Compressed bytes in, files out. Synchronous; runs on a thread of its own. Every method may throw Failure or bad_alloc; after that only the destructor may run.
class LayerUnpacker {
public:
	LayerUnpacker(const LayerRequest& request, const std::atomic<bool>& aborted);
	void Write(const uint8_t* data, size_t size);
	LayerSums Finish();

private:
	void TakeUncompressed(const uint8_t* data, size_t size);

	const uint64_t maxBytes_;
	const std::atomic<bool>& aborted_;
	Sha256 digest_;
	Sha256 diffId_;
	LayerSums sums_;
	std::unique_ptr<Decompressor> decompressor_;
	TreeWriter tree_;
	TarReader tar_;
};

}  // namespace berth::unpack
