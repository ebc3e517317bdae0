#include "layer.h"

#include <new>

#include "confine.h"
#include "failure.h"
#include "tar.h"
#include "tree.h"

namespace berth::unpack {

LayerUnpacker::LayerUnpacker(const LayerRequest& request, const std::atomic<bool>& aborted)
	: request_(request), aborted_(aborted), decompressor_(MakeDecompressor(request.compression)) {
	std::promise<void> opened;
	writer_.Start("berth-layer", [this, &opened] { WriteFiles(opened); });
	opened.get_future().get();
}

LayerUnpacker::~LayerUnpacker() {
	ring_.Break();
	writer_.Join();
}

void LayerUnpacker::Write(const uint8_t* data, size_t size) {
	if (size == 0) return;
	// Uncompressed, the two digests are one.
	if (request_.compression != Compression::kNone && !digest_.Update(data, size)) throw std::bad_alloc();
	sums_.compressedBytes += size;
	Guarded([&] { decompressor_->Write(data, size, *this); });
}

LayerSums LayerUnpacker::Finish() {
	Guarded([&] {
		decompressor_->Finish();
		Flush();
	});
	whole_ = true;
	ring_.End();
	writer_.Join();
	if (failure_) std::rethrow_exception(failure_);
	sums_.diffId = ring_.Digest();
	sums_.digest = request_.compression == Compression::kNone ? sums_.diffId : digest_.Finish();
	return sums_;
}

// What the writer met lies before what this thread met, so it is what is told. It sees all that was decompressed: a layer fails at the same place every time.
template <class Step> void LayerUnpacker::Guarded(Step step) {
	try {
		step();
	} catch (...) {
		if (slotBytes_ > 0) Flush();
		ring_.End();
		writer_.Join();
		if (failure_) std::rethrow_exception(failure_);
		throw;
	}
}

std::span<uint8_t> LayerUnpacker::Room() {
	if (slot_ == nullptr) slot_ = ring_.Room();
	if (slot_ == nullptr) throw Failure(FailureKind::kAborted, "aborted");
	return {slot_ + slotBytes_, Ring::kSlotBytes - slotBytes_};
}

void LayerUnpacker::Took(size_t sizeBytes) {
	// Here and not per chunk: one chunk of a bomb may decompress to a thousand times its size.
	if (aborted_.load(std::memory_order_relaxed)) throw Failure(FailureKind::kAborted, "aborted");
	sums_.uncompressedBytes += sizeBytes;
	if (sums_.uncompressedBytes > request_.maxBytes) throw Failure(FailureKind::kLimit, "the layer unpacks to more than " + std::to_string(request_.maxBytes) + " bytes");
	slotBytes_ += sizeBytes;
	if (slotBytes_ == Ring::kSlotBytes) Flush();
}

void LayerUnpacker::Flush() {
	if (slotBytes_ > 0) ring_.Commit(slotBytes_);
	slot_ = nullptr;
	slotBytes_ = 0;
}

// The confined thread's whole life.
void LayerUnpacker::WriteFiles(std::promise<void>& opened) {
	std::unique_ptr<TreeWriter> tree;
	try {
		Confined confined = ConfineThread(request_.targetDir);
		sums_.landlockVersion = confined.landlockVersion;
		tree = std::make_unique<TreeWriter>(std::move(confined.root), TreeLimits{request_.maxBytes, request_.maxInodes});
	} catch (...) {
		return opened.set_exception(std::current_exception());
	}
	opened.set_value();
	try {
		TarReader tar(*tree);
		for (std::string_view piece = ring_.Next(); !piece.empty(); piece = ring_.Next()) {
			if (aborted_.load(std::memory_order_relaxed)) throw Failure(FailureKind::kAborted, "aborted");
			tar.Feed(reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
			ring_.Done();
		}
		if (!whole_) return;
		tar.Finish();
		tree->Finish();
		sums_.diskBytes = tree->diskBytes();
		sums_.inodes = tree->inodes();
		sums_.opaqueRoot = tree->opaqueRoot();
		if (!tree->rootNamed()) sums_.unnamedDirectories.append(".").push_back('\0');
		for (const std::string& path : tree->unnamedDirectories()) sums_.unnamedDirectories.append(path).push_back('\0');
	} catch (...) {
		failure_ = std::current_exception();
		ring_.Break();
	}
}

}  // namespace berth::unpack
