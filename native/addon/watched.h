// A JavaScript object that owns one file descriptor watched by the event loop.
#pragma once

#include "environment.h"
#include "failure.h"

namespace berth {

class Watched : public Nan::ObjectWrap, public Closable {
public:
	~Watched() override;
	void CloseForExit() override;

protected:
	// Takes `fd` over, also on failure. 0 or an errno.
	int Open(int fd);
	// UV_READABLE, UV_WRITABLE; 0 stops watching.
	void Want(int events);
	// Closes the descriptor at once; OnEvents is not called again. Idempotent.
	void Close();
	bool open() const { return fd_.valid(); }
	int fd() const { return fd_.get(); }
	int wanted() const { return wanted_; }
	Environment& environment() const { return *environment_; }

	// `error`: 0 or an errno that the poll itself met.
	virtual void OnEvents(int error, int events) = 0;
	// The descriptor was closed: let go of callbacks and queues.
	virtual void OnClosed() = 0;

	void Call(const v8::Global<v8::Function>& function, int argc, v8::Local<v8::Value>* argv);

private:
	static void OnPoll(uv_poll_t* poll, int status, int events);
	Environment* environment_ = nullptr;
	uv_poll_t* poll_ = nullptr;
	Fd fd_;
	int wanted_ = 0;
};

}  // namespace berth
