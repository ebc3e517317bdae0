// Bytes in and out of a pipe, socket or pseudo-terminal without ever blocking: net.Socket takes no pseudo-terminal master, and
// fs streams would block a thread of the pool for each.
#include "addon.h"
#include "watched.h"

namespace berth {

namespace {

constexpr size_t kReadBytes = 64 * 1024;

class FdStream : public Watched {
public:
	static void Init(v8::Local<v8::Object> exports);

protected:
	void OnEvents(int error, int events) override;
	void OnClosed() override;

private:
	static NAN_METHOD(New);
	static NAN_METHOD(Read);
	static NAN_METHOD(Pause);
	static NAN_METHOD(Drain);
	static NAN_METHOD(Write);
	static NAN_METHOD(Shut);

	// Bytes read into the shared buffer; 0 at the end; -errno.
	ssize_t ReadSome(std::string& buffer);
	void WriteSome();
	void Written(int error);
	void UpdateWants();

	bool reading_ = false;
	v8::Global<v8::Function> onRead_;
	v8::Global<v8::Function> onWritten_;
	v8::Global<v8::Value> chunk_;
	size_t written_ = 0;
};

std::string& SharedBuffer() {
	static thread_local std::string buffer(kReadBytes, '\0');
	return buffer;
}

ssize_t FdStream::ReadSome(std::string& buffer) {
	for (;;) {
		const ssize_t bytes = read(fd(), buffer.data(), buffer.size());
		if (bytes >= 0) return bytes;
		// A terminal's master says EIO once nobody has its other side open.
		if (errno == EIO) return 0;
		if (errno != EINTR) return -errno;
	}
}

void FdStream::UpdateWants() {
	if (open()) Want((reading_ ? UV_READABLE : 0) | (chunk_.IsEmpty() ? 0 : UV_WRITABLE));
}

void FdStream::OnEvents(int error, int events) {
	if ((events & UV_WRITABLE) != 0 || error != 0) {
		if (!chunk_.IsEmpty()) error != 0 ? Written(error) : WriteSome();
	}
	if (!open() || !reading_ || ((events & UV_READABLE) == 0 && error == 0)) return;
	std::string& buffer = SharedBuffer();
	const ssize_t bytes = error != 0 ? -error : ReadSome(buffer);
	if (bytes == -EAGAIN) return;
	if (bytes <= 0) {
		reading_ = false;
		UpdateWants();
	}
	v8::Local<v8::Value> argv[] = {Nan::New(bytes < 0 ? static_cast<int>(-bytes) : 0), Nan::Null()};
	if (bytes > 0) argv[1] = ToBuffer({buffer.data(), static_cast<size_t>(bytes)});
	Call(onRead_, 2, argv);
}

void FdStream::WriteSome() {
	v8::Local<v8::Value> chunk = chunk_.Get(environment().isolate);
	const size_t length = node::Buffer::Length(chunk);
	while (written_ < length) {
		const ssize_t bytes = write(fd(), node::Buffer::Data(chunk) + written_, length - written_);
		if (bytes >= 0) written_ += static_cast<size_t>(bytes);
		else if (errno == EAGAIN) return UpdateWants();
		else if (errno != EINTR) return Written(errno);
	}
	Written(0);
}

void FdStream::Written(int error) {
	chunk_.Reset();
	UpdateWants();
	v8::Local<v8::Function> onWritten = onWritten_.Get(environment().isolate);
	onWritten_.Reset();
	v8::Local<v8::Value> argv[] = {Nan::New(error)};
	environment().Call(onWritten, 1, argv);
}

void FdStream::OnClosed() {
	onRead_.Reset();
	onWritten_.Reset();
	chunk_.Reset();
	reading_ = false;
}

// new FdStream(fd, onRead(errno, Buffer | null at the end))
NAN_METHOD(FdStream::New) {
	Arguments arguments(info);
	const int fd = arguments.Int();
	v8::Local<v8::Function> onRead = arguments.Function();
	if (!arguments.ok()) return;
	auto* self = new FdStream;
	self->Wrap(info.This());
	const int error = self->Open(fd);
	if (error != 0) return Nan::ThrowError(Nan::ErrnoException(error, "uv_poll_init"));
	self->onRead_.Reset(info.GetIsolate(), onRead);
	info.GetReturnValue().Set(info.This());
}

NAN_METHOD(FdStream::Read) {
	auto* self = Nan::ObjectWrap::Unwrap<FdStream>(info.This());
	self->reading_ = self->open();
	self->UpdateWants();
}

NAN_METHOD(FdStream::Pause) {
	auto* self = Nan::ObjectWrap::Unwrap<FdStream>(info.This());
	self->reading_ = false;
	self->UpdateWants();
}

// drain(maxBytes): what is there now, without waiting.
NAN_METHOD(FdStream::Drain) {
	auto* self = Nan::ObjectWrap::Unwrap<FdStream>(info.This());
	Arguments arguments(info);
	const double maxBytes = arguments.Number();
	if (!arguments.ok()) return;
	std::string all;
	std::string& buffer = SharedBuffer();
	while (self->open() && static_cast<double>(all.size()) < maxBytes) {
		const ssize_t bytes = self->ReadSome(buffer);
		if (bytes <= 0) break;
		all.append(buffer.data(), static_cast<size_t>(bytes));
	}
	info.GetReturnValue().Set(ToBuffer(all));
}

// write(chunk, onWritten(errno)): one at a time. The chunk must not change before onWritten.
NAN_METHOD(FdStream::Write) {
	auto* self = Nan::ObjectWrap::Unwrap<FdStream>(info.This());
	Arguments arguments(info);
	arguments.Bytes();
	v8::Local<v8::Function> onWritten = arguments.Function();
	if (!arguments.ok()) return;
	if (!self->open() || !self->chunk_.IsEmpty()) return Nan::ThrowError(Nan::ErrnoException(self->open() ? EBUSY : EBADF, "write"));
	self->chunk_.Reset(info.GetIsolate(), info[0]);
	self->onWritten_.Reset(info.GetIsolate(), onWritten);
	self->written_ = 0;
	// Written from the event loop, so that onWritten is never called before this returned.
	self->UpdateWants();
}

NAN_METHOD(FdStream::Shut) {
	Nan::ObjectWrap::Unwrap<FdStream>(info.This())->Close();
}

void FdStream::Init(v8::Local<v8::Object> exports) {
	v8::Local<v8::FunctionTemplate> type = Nan::New<v8::FunctionTemplate>(New);
	type->InstanceTemplate()->SetInternalFieldCount(1);
	type->SetClassName(Nan::New("FdStream").ToLocalChecked());
	Nan::SetPrototypeMethod(type, "read", Read);
	Nan::SetPrototypeMethod(type, "pause", Pause);
	Nan::SetPrototypeMethod(type, "drain", Drain);
	Nan::SetPrototypeMethod(type, "write", Write);
	Nan::SetPrototypeMethod(type, "close", Shut);
	SetField(exports, "FdStream", Nan::GetFunction(type).ToLocalChecked());
}

}  // namespace

void InitFdStream(v8::Local<v8::Object> exports) {
	FdStream::Init(exports);
}

}  // namespace berth
