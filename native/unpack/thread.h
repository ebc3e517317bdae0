#pragma once
#include <pthread.h>

#include <functional>

namespace berth::unpack {

// A thread with all signals blocked (they are the main thread's) and a small stack. `body` must not throw.
class Thread {
public:
	Thread() = default;
	~Thread() { Join(); }
	Thread(const Thread&) = delete;
	Thread& operator=(const Thread&) = delete;
	// Throws Failure when the kernel gives none.
	void Start(const char* name, std::function<void()> body);
	// Idempotent.
	void Join();
	// Nobody waits for it.
	static void StartDetached(const char* name, std::function<void()> body);

private:
	pthread_t thread_{};
	bool running_ = false;
};

}  // namespace berth::unpack
