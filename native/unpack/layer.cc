#include "layer.h"

#include <new>

#include "failure.h"

namespace berth::unpack {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
	if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

void Sha256::Update(const uint8_t* data, size_t size) {
	if (EVP_DigestUpdate(context_.get(), data, size) != 1) throw std::bad_alloc();
}

std::string Sha256::Finish() {
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	if (EVP_DigestFinal_ex(context_.get(), bytes, &length) != 1) throw std::bad_alloc();
	static const char digits[] = "0123456789abcdef";
	std::string text = "sha256:";
	for (unsigned i = 0; i < length; i++) {
		text += digits[bytes[i] >> 4];
		text += digits[bytes[i] & 15];
	}
	return text;
}

LayerUnpacker::LayerUnpacker(const LayerRequest& request, const std::atomic<bool>& aborted)
	: maxBytes_(request.maxBytes),
	  aborted_(aborted),
	  decompressor_(MakeDecompressor(request.compression)),
	  tree_(request.targetDir, request.maxInodes),
	  tar_(tree_) {}

void LayerUnpacker::Write(const uint8_t* data, size_t size) {
	if (size == 0) return;
	digest_.Update(data, size);
	sums_.compressedBytes += size;
	decompressor_->Write(data, size, [this](const uint8_t* out, size_t length) { TakeUncompressed(out, length); });
}

void LayerUnpacker::TakeUncompressed(const uint8_t* data, size_t size) {
	// Here and not per chunk: one chunk of a bomb may decompress to a thousand times its size.
	if (aborted_.load(std::memory_order_relaxed)) throw Failure(FailureKind::kAborted, "aborted");
	sums_.uncompressedBytes += size;
	if (sums_.uncompressedBytes > maxBytes_) throw Failure(FailureKind::kLimit, "the layer unpacks to more than " + std::to_string(maxBytes_) + " bytes");
	diffId_.Update(data, size);
	tar_.Feed(data, size);
}

LayerSums LayerUnpacker::Finish() {
	decompressor_->Finish();
	tar_.Finish();
	tree_.Finish();
	sums_.digest = digest_.Finish();
	sums_.diffId = diffId_.Finish();
	sums_.diskBytes = tree_.diskBytes();
	sums_.inodes = tree_.inodes();
	return sums_;
}

}  // namespace berth::unpack
