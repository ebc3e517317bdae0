#include "thread.h"

#include <csignal>
#include <memory>
#include <string>

#include "failure.h"

namespace berth::unpack {
namespace {

constexpr size_t kStackBytes = 512 << 10;

struct Beginning {
	std::string name;
	std::function<void()> body;
};

void* Run(void* argument) {
	std::unique_ptr<Beginning> beginning(static_cast<Beginning*>(argument));
	pthread_setname_np(pthread_self(), beginning->name.c_str());
	beginning->body();
	return nullptr;
}

pthread_t Create(const char* name, std::function<void()> body, int detachState) {
	auto beginning = std::make_unique<Beginning>(Beginning{name, std::move(body)});
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, kStackBytes);
	pthread_attr_setdetachstate(&attributes, detachState);
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_t thread;
	const int error = pthread_create(&thread, &attributes, Run, beginning.get());
	pthread_sigmask(SIG_SETMASK, &before, nullptr);
	pthread_attr_destroy(&attributes);
	if (error != 0) throw Failure("start thread", error, "");
	beginning.release();
	return thread;
}

}  // namespace

void Thread::Start(const char* name, std::function<void()> body) {
	thread_ = Create(name, std::move(body), PTHREAD_CREATE_JOINABLE);
	running_ = true;
}

void Thread::Join() {
	if (running_) pthread_join(thread_, nullptr);
	running_ = false;
}

void Thread::StartDetached(const char* name, std::function<void()> body) { Create(name, std::move(body), PTHREAD_CREATE_DETACHED); }

}  // namespace berth::unpack
