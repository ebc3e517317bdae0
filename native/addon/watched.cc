#include "watched.h"

namespace berth {

// Only an object that is closed is collected: an open one holds a reference to itself.
Watched::~Watched() = default;

int Watched::Open(int fd) {
	environment_ = &Environment::Here();
	fd_.Reset(fd);
	poll_ = new uv_poll_t;
	poll_->data = this;
	const int status = uv_poll_init(environment_->loop, poll_, fd);
	if (status != 0) {
		delete poll_;
		poll_ = nullptr;
		fd_.Reset();
		return -status;
	}
	environment_->closables.insert(this);
	Ref();
	return 0;
}

void Watched::Want(int events) {
	if (!open() || events == wanted_) return;
	wanted_ = events;
	if (events == 0) uv_poll_stop(poll_);
	else uv_poll_start(poll_, events, OnPoll);
}

void Watched::Close() {
	if (!open()) return;
	environment_->closables.erase(this);
	poll_->data = nullptr;
	uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
	poll_ = nullptr;
	fd_.Reset();
	wanted_ = 0;
	OnClosed();
	Unref();
}

void Watched::CloseForExit() {
	v8::HandleScope scope(environment_->isolate);
	Close();
}

void Watched::OnPoll(uv_poll_t* poll, int status, int events) {
	auto* self = static_cast<Watched*>(poll->data);
	if (self == nullptr) return;
	EnterJs scope(*self->environment_);
	// A callback may close and drop the object; it lives until this returns.
	self->Ref();
	self->OnEvents(status < 0 ? -status : 0, events);
	self->Unref();
}

void Watched::Call(const v8::Global<v8::Function>& function, int argc, v8::Local<v8::Value>* argv) {
	if (!function.IsEmpty()) environment_->Call(function.Get(environment_->isolate), argc, argv);
}

}  // namespace berth
