#include "unpacking.h"

#include <new>

#include "failure.h"
#include "thread.h"

namespace berth::unpack {
namespace {

// errno 0 and the kind as path tell the TypeScript side which error class it is.
berth::Failure Translate(const Failure& failure) {
	if (failure.kind() == FailureKind::kSyscall) return {"unpack: " + failure.text(), failure.error(), failure.entry()};
	return {failure.text(), 0, failure.kind() == FailureKind::kCorrupt ? "corrupt" : failure.kind() == FailureKind::kLimit ? "limit" : "aborted"};
}

}  // namespace

v8::Local<v8::Value> Step::ToJs() {
	if (!sums) return Nan::Undefined();
	v8::Local<v8::Object> object = Nan::New<v8::Object>();
	SetField(object, "digest", Nan::New(sums->digest).ToLocalChecked());
	SetField(object, "compressedBytes", Nan::New(static_cast<double>(sums->compressedBytes)));
	SetField(object, "diffId", Nan::New(sums->diffId).ToLocalChecked());
	SetField(object, "uncompressedBytes", Nan::New(static_cast<double>(sums->uncompressedBytes)));
	SetField(object, "diskBytes", Nan::New(static_cast<double>(sums->diskBytes)));
	SetField(object, "inodes", Nan::New(static_cast<double>(sums->inodes)));
	SetField(object, "opaqueRoot", Nan::New(sums->opaqueRoot));
	SetField(object, "unnamedDirectories", ToBuffer(sums->unnamedDirectories));
	SetField(object, "landlockVersion", Nan::New(sums->landlockVersion));
	return object;
}

void Unpacking::Open(const LayerRequest& request, std::unique_ptr<Step> opened) {
	const std::lock_guard lock(mutex_);
	opened_ = std::move(opened);
	try {
		Thread::StartDetached("berth-inflate", [self = shared_from_this(), request] { self->Run(request); });
		running_ = true;
	} catch (const Failure& failure) {
		Fail(Translate(failure));
	}
}

bool Unpacking::Write(std::string piece, v8::Local<v8::Function> callback) {
	const std::lock_guard lock(mutex_);
	if (!failure_) {
		waitingBytes_ += piece.size();
		if (!piece.empty()) pieces_.push_back(std::move(piece));
		changed_.notify_one();
		if (waitingBytes_ < kWaitingBytes) return true;
	}
	written_ = std::make_unique<Step>();
	written_->id = completions_->Expect(callback);
	if (failure_) Tell(written_);
	return false;
}

void Unpacking::Finish(std::unique_ptr<Step> finished) {
	const std::lock_guard lock(mutex_);
	finished_ = std::move(finished);
	ended_ = true;
	if (failure_) Tell(finished_);
	changed_.notify_one();
}

void Unpacking::Abort(std::unique_ptr<Step> stopped) {
	aborted_ = true;
	const std::lock_guard lock(mutex_);
	if (stopped) stopped_ = std::move(stopped);
	if (!running_ && stopped_) completions_->Add(std::move(stopped_));
	changed_.notify_one();
}

void Unpacking::Run(const LayerRequest& request) {
	try {
		Unpack(request);
	} catch (const Failure& failure) {
		const std::lock_guard lock(mutex_);
		Fail(Translate(failure));
	} catch (const std::bad_alloc&) {
		const std::lock_guard lock(mutex_);
		Fail({"unpack", ENOMEM, ""});
	} catch (const std::exception& error) {
		const std::lock_guard lock(mutex_);
		Fail({std::string("unpack: ") + error.what(), EIO, ""});
	}
	const std::lock_guard lock(mutex_);
	running_ = false;
	pieces_.clear();
	if (stopped_) completions_->Add(std::move(stopped_));
}

void Unpacking::Unpack(const LayerRequest& request) {
	LayerSums sums;
	{
		LayerUnpacker unpacker(request, aborted_);
		{
			const std::lock_guard lock(mutex_);
			Tell(opened_);
		}
		for (std::string piece = NextPiece(); !piece.empty(); piece = NextPiece()) unpacker.Write(reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
		sums = unpacker.Finish();
	}
	const std::lock_guard lock(mutex_);
	finished_->sums = std::move(sums);
	// Nothing of it may be asked again.
	failure_ = berth::Failure{"aborted", 0, "aborted"};
	completions_->Add(std::move(finished_));
}

std::string Unpacking::NextPiece() {
	std::unique_lock lock(mutex_);
	changed_.wait(lock, [this] { return aborted_ || ended_ || !pieces_.empty(); });
	if (aborted_) throw Failure(FailureKind::kAborted, "aborted");
	if (pieces_.empty()) return "";
	std::string piece = std::move(pieces_.front());
	pieces_.pop_front();
	waitingBytes_ -= piece.size();
	if (waitingBytes_ < kWaitingBytes) Tell(written_);
	return piece;
}

// With the lock held.
void Unpacking::Tell(std::unique_ptr<Step>& step) {
	if (!step) return;
	step->failure = failure_;
	completions_->Add(std::move(step));
}

void Unpacking::Fail(const berth::Failure& failure) {
	failure_ = failure;
	for (auto* step : {&opened_, &written_, &finished_}) Tell(*step);
}

}  // namespace berth::unpack
