// Blocking work on the addon's own threads: libuv's four would all be taken by a few hung mounts.
#pragma once

#include "environment.h"
#include "failure.h"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace berth {

// Work() runs on a worker, ToJs() on the event loop, the destructor on either.
class Job {
public:
	virtual ~Job() = default;
	virtual void Work() = 0;
	virtual v8::Local<v8::Value> ToJs() = 0;
	std::optional<Failure> failure;
	uint64_t id = 0;
};

// Jobs that are done and wait for their environment's event loop. Outlives the environment as long as workers hold it.
class Completions {
public:
	static std::shared_ptr<Completions> Open(Environment* environment);
	uint64_t Expect(v8::Local<v8::Function> callback);
	void Add(std::unique_ptr<Job> job);
	void Close();

private:
	static void OnAsync(uv_async_t* async);
	Environment* environment_ = nullptr;
	uv_async_t* async_ = nullptr;
	std::unordered_map<uint64_t, v8::Global<v8::Function>> callbacks_;
	uint64_t lastId_ = 0;
	std::mutex mutex_;
	std::deque<std::unique_ptr<Job>> done_;
	bool closed_ = false;
};

// callback(failure | null, value)
void Submit(std::unique_ptr<Job> job, v8::Local<v8::Function> callback);

template <class Result> class FunctionJob : public Job {
public:
	FunctionJob(std::function<Result()> work, v8::Local<v8::Value> (*toJs)(Result&)) : work_(std::move(work)), toJs_(toJs) {}
	void Work() override { result_.emplace(work_()); }
	v8::Local<v8::Value> ToJs() override { return toJs_(*result_); }

private:
	std::function<Result()> work_;
	v8::Local<v8::Value> (*toJs_)(Result&);
	std::optional<Result> result_;
};

struct Nothing {};

template <class Result>
void Submit(v8::Local<v8::Function> callback, std::function<Result()> work, v8::Local<v8::Value> (*toJs)(Result&)) {
	Submit(std::make_unique<FunctionJob<Result>>(std::move(work), toJs), callback);
}

// For work without a result.
void Submit(v8::Local<v8::Function> callback, std::function<void()> work);

}  // namespace berth
