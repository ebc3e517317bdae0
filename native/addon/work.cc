#include "work.h"

#include <condition_variable>
#include <csignal>
#include <pthread.h>

namespace berth {

namespace {

constexpr unsigned kMaxThreads = 8;
constexpr size_t kStackBytes = 256 * 1024;

struct Task {
	std::unique_ptr<Job> job;
	std::shared_ptr<Completions> completions;
};

// Threads start when work waits and none is idle. The pool is never destroyed: a worker may hang in the kernel at exit.
class WorkPool {
public:
	static WorkPool& Shared() {
		static auto* pool = new WorkPool;
		return *pool;
	}

	void Add(Task task) {
		std::lock_guard lock(mutex_);
		tasks_.push_back(std::move(task));
		if (tasks_.size() > idle_ && threads_ < kMaxThreads && StartThread()) threads_++;
		ready_.notify_one();
	}

private:
	bool StartThread() {
		sigset_t all, before;
		sigfillset(&all);
		pthread_attr_t attributes;
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, kStackBytes);
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		// Signals are the main thread's: its handlers must not run on these small stacks.
		pthread_sigmask(SIG_SETMASK, &all, &before);
		pthread_t thread;
		const int error = pthread_create(&thread, &attributes, [](void* pool) -> void* {
			static_cast<WorkPool*>(pool)->Run();
			return nullptr;
		}, this);
		pthread_sigmask(SIG_SETMASK, &before, nullptr);
		pthread_attr_destroy(&attributes);
		return error == 0;
	}

	[[noreturn]] void Run() {
		pthread_setname_np(pthread_self(), "berth-work");
		std::unique_lock lock(mutex_);
		for (;;) {
			idle_++;
			while (tasks_.empty()) ready_.wait(lock);
			idle_--;
			Task task = std::move(tasks_.front());
			tasks_.pop_front();
			lock.unlock();
			Do(std::move(task));
			lock.lock();
		}
	}

	static void Do(Task task) {
		try {
			task.job->Work();
		} catch (const Failure& failure) {
			task.job->failure = failure;
		} catch (const std::bad_alloc&) {
			task.job->failure = Failure{"allocate memory", ENOMEM, ""};
		} catch (const std::exception& error) {
			task.job->failure = Failure{error.what(), EIO, ""};
		}
		task.completions->Add(std::move(task.job));
	}

	std::mutex mutex_;
	std::condition_variable ready_;
	std::deque<Task> tasks_;
	size_t idle_ = 0;
	unsigned threads_ = 0;
};

v8::Local<v8::Value> FailureToJs(const Failure& failure) {
	v8::Local<v8::Object> object = Nan::New<v8::Object>();
	SetField(object, "stage", Nan::New(failure.stage).ToLocalChecked());
	SetField(object, "errno", Nan::New(failure.error));
	SetField(object, "path", Nan::New(failure.path).ToLocalChecked());
	return object;
}

}  // namespace

std::shared_ptr<Completions> Completions::Open(Environment* environment) {
	auto completions = std::make_shared<Completions>();
	completions->environment_ = environment;
	completions->async_ = new uv_async_t;
	completions->async_->data = completions.get();
	uv_async_init(environment->loop, completions->async_, OnAsync);
	uv_unref(reinterpret_cast<uv_handle_t*>(completions->async_));
	return completions;
}

uint64_t Completions::Expect(v8::Local<v8::Function> callback) {
	// Work in flight keeps the process alive; an idle addon does not.
	if (callbacks_.empty()) uv_ref(reinterpret_cast<uv_handle_t*>(async_));
	callbacks_.emplace(++lastId_, v8::Global<v8::Function>(environment_->isolate, callback));
	return lastId_;
}

void Completions::Add(std::unique_ptr<Job> job) {
	std::lock_guard lock(mutex_);
	if (closed_) return;
	done_.push_back(std::move(job));
	uv_async_send(async_);
}

void Completions::Close() {
	std::lock_guard lock(mutex_);
	closed_ = true;
	done_.clear();
	callbacks_.clear();
	uv_close(reinterpret_cast<uv_handle_t*>(async_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_async_t*>(handle); });
}

void Completions::OnAsync(uv_async_t* async) {
	auto* self = static_cast<Completions*>(async->data);
	const std::shared_ptr<Completions> kept = self->environment_->completions;
	Environment& environment = *self->environment_;
	std::deque<std::unique_ptr<Job>> done;
	{
		std::lock_guard lock(self->mutex_);
		done.swap(self->done_);
	}
	for (auto& job : done) {
		if (self->closed_) return;
		EnterJs scope(environment);
		auto node = self->callbacks_.extract(job->id);
		if (self->callbacks_.empty()) uv_unref(reinterpret_cast<uv_handle_t*>(self->async_));
		v8::Local<v8::Function> callback = node.mapped().Get(environment.isolate);
		v8::Local<v8::Value> argv[] = {Nan::Null(), Nan::Null()};
		if (job->failure) argv[0] = FailureToJs(*job->failure);
		else argv[1] = job->ToJs();
		job.reset();
		environment.Call(callback, 2, argv);
	}
}

void Submit(std::unique_ptr<Job> job, v8::Local<v8::Function> callback) {
	Environment& environment = Environment::Here();
	job->id = environment.completions->Expect(callback);
	WorkPool::Shared().Add(Task{std::move(job), environment.completions});
}

void Submit(v8::Local<v8::Function> callback, std::function<void()> work) {
	Submit<Nothing>(callback, [work = std::move(work)] { return work(), Nothing{}; }, [](Nothing&) -> v8::Local<v8::Value> { return Nan::Undefined(); });
}

}  // namespace berth
