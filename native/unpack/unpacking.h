#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "../addon/work.h"
#include "layer.h"

namespace berth::unpack {

// Something that JavaScript waits for.
class Step final : public Job {
public:
	void Work() override {}
	v8::Local<v8::Value> ToJs() override;
	std::optional<LayerSums> sums;
};

// One layer between JavaScript, which brings pieces and takes answers, and the thread that decompresses them. Both hold it.
class Unpacking : public std::enable_shared_from_this<Unpacking> {
public:
	explicit Unpacking(std::shared_ptr<Completions> completions) : completions_(std::move(completions)) {}
	// What JavaScript may have waiting here (a piece may be larger); beyond it write() has to wait.
	static constexpr size_t kWaitingBytes = 1 << 20;

	// Each step's callback is called once, with the failure if there is or was one.
	void Open(const LayerRequest& request, std::unique_ptr<Step> opened);
	// true: there is room for the next piece, and `taken` is not needed.
	bool Write(std::string piece, v8::Local<v8::Function> callback);
	void Finish(std::unique_ptr<Step> finished);
	// What works stops soon; every later step fails. `stopped`, which may be null, is told when both threads are done with the directory.
	void Abort(std::unique_ptr<Step> stopped);

private:
	void Run(const LayerRequest& request);
	void Unpack(const LayerRequest& request);
	// Empty at the end.
	std::string NextPiece();
	void Tell(std::unique_ptr<Step>& step);
	void Fail(const berth::Failure& failure);

	const std::shared_ptr<Completions> completions_;
	std::atomic<bool> aborted_{false};
	std::mutex mutex_;
	std::condition_variable changed_;
	std::deque<std::string> pieces_;
	size_t waitingBytes_ = 0;
	bool ended_ = false, running_ = false;
	std::optional<berth::Failure> failure_;
	std::unique_ptr<Step> opened_, written_, finished_, stopped_;
};

}  // namespace berth::unpack
