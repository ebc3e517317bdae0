// A SOCK_SEQPACKET connection that carries messages with file descriptors.
#include "addon.h"
#include "watched.h"

#include <cstring>
#include <deque>
#include <sys/socket.h>

namespace berth {

namespace {

constexpr size_t kMaxMessageBytes = 256 * 1024;
// SCM_MAX_FD of the kernel.
constexpr size_t kMaxFds = 253;
// Messages taken per turn of the event loop, so that a chatty peer cannot starve the others.
constexpr int kMessagesPerTurn = 32;

struct Message {
	std::string body;
	std::vector<Fd> fds;
};

class Channel : public Watched {
public:
	static void Init(v8::Local<v8::Object> exports);

protected:
	void OnEvents(int error, int events) override;
	void OnClosed() override;

private:
	static NAN_METHOD(New);
	static NAN_METHOD(Send);
	static NAN_METHOD(Shut);

	int Transmit(const Message& message);
	void Flush();
	// false: stop reading for now.
	bool Receive();
	void Deliver(std::string_view body, std::vector<Fd> fds);
	void Break(int error);

	v8::Global<v8::Function> onMessage_;
	v8::Global<v8::Function> onClose_;
	std::deque<Message> queue_;
};

union ControlBuffer {
	cmsghdr header;
	char bytes[CMSG_SPACE(kMaxFds * sizeof(int))];
};

int Channel::Transmit(const Message& message) {
	iovec part = {const_cast<char*>(message.body.data()), message.body.size()};
	msghdr header = {};
	header.msg_iov = &part;
	header.msg_iovlen = 1;
	ControlBuffer control;
	if (!message.fds.empty()) {
		std::vector<int> numbers;
		for (const Fd& fd : message.fds) numbers.push_back(fd.get());
		const size_t bytes = numbers.size() * sizeof(int);
		memset(&control, 0, sizeof control);
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(bytes);
		cmsghdr* item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(item), numbers.data(), bytes);
	}
	for (;;) {
		if (sendmsg(fd(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
		if (errno != EINTR) return errno;
	}
}

void Channel::Flush() {
	while (open() && !queue_.empty()) {
		const int error = Transmit(queue_.front());
		if (error == EAGAIN) return;
		if (error != 0) return Break(error);
		queue_.pop_front();
	}
	if (open()) Want(UV_READABLE);
}

bool Channel::Receive() {
	// One buffer per thread: messages are copied out before the next read.
	static thread_local std::string buffer(kMaxMessageBytes, '\0');
	iovec part = {buffer.data(), buffer.size()};
	ControlBuffer control;
	msghdr header = {};
	header.msg_iov = &part;
	header.msg_iovlen = 1;
	header.msg_control = &control;
	header.msg_controllen = sizeof control;
	const ssize_t bytes = recvmsg(fd(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (bytes < 0) {
		if (errno == EAGAIN) return false;
		if (errno == EINTR) return true;
		return Break(errno), false;
	}
	std::vector<Fd> fds;
	for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
		const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int number;
			memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof number);
			fds.emplace_back(number);
		}
	}
	if (bytes == 0) return Break(0), false;
	if ((header.msg_flags & MSG_TRUNC) != 0) return Break(EMSGSIZE), false;
	// The kernel dropped descriptors because this process may open no more.
	if ((header.msg_flags & MSG_CTRUNC) != 0) return Break(EMFILE), false;
	Deliver({buffer.data(), static_cast<size_t>(bytes)}, std::move(fds));
	return open();
}

void Channel::Deliver(std::string_view body, std::vector<Fd> fds) {
	v8::HandleScope scope(environment().isolate);
	v8::Local<v8::Array> numbers = Nan::New<v8::Array>(static_cast<int>(fds.size()));
	for (size_t i = 0; i < fds.size(); i++) Nan::Set(numbers, static_cast<uint32_t>(i), Nan::New(fds[i].Release())).Check();
	v8::Local<v8::Value> argv[] = {ToBuffer(body), numbers};
	Call(onMessage_, 2, argv);
}

void Channel::Break(int error) {
	v8::Local<v8::Function> onClose = onClose_.Get(environment().isolate);
	Close();
	v8::Local<v8::Value> argv[] = {Nan::New(error)};
	environment().Call(onClose, 1, argv);
}

void Channel::OnEvents(int error, int events) {
	if (error != 0) return Break(error);
	if ((events & UV_WRITABLE) != 0) Flush();
	if ((events & UV_READABLE) == 0) return;
	for (int i = 0; i < kMessagesPerTurn && open(); i++) {
		if (!Receive()) return;
	}
}

void Channel::OnClosed() {
	queue_.clear();
	onMessage_.Reset();
	onClose_.Reset();
}

NAN_METHOD(Channel::New) {
	Arguments arguments(info);
	const int fd = arguments.Int();
	v8::Local<v8::Function> onMessage = arguments.Function();
	v8::Local<v8::Function> onClose = arguments.Function();
	if (!arguments.ok()) return;
	auto* self = new Channel;
	self->Wrap(info.This());
	const int error = self->Open(fd);
	if (error != 0) return Nan::ThrowError(Nan::ErrnoException(error, "uv_poll_init"));
	self->onMessage_.Reset(info.GetIsolate(), onMessage);
	self->onClose_.Reset(info.GetIsolate(), onClose);
	self->Want(UV_READABLE);
	info.GetReturnValue().Set(info.This());
}

// send(body, fds): 0 when sent or queued, else an errno and the connection is as before. Takes the descriptors over in any case.
NAN_METHOD(Channel::Send) {
	auto* self = Nan::ObjectWrap::Unwrap<Channel>(info.This());
	Arguments arguments(info);
	std::string_view body = arguments.Bytes();
	v8::Local<v8::Array> numbers = arguments.Array();
	if (!arguments.ok()) return;
	Message message;
	for (uint32_t i = 0; i < numbers->Length(); i++) {
		message.fds.emplace_back(Nan::To<int32_t>(Nan::Get(numbers, i).ToLocalChecked()).FromMaybe(-1));
	}
	if (!self->open()) return info.GetReturnValue().Set(ENOTCONN);
	if (body.size() > kMaxMessageBytes) return info.GetReturnValue().Set(EMSGSIZE);
	if (message.fds.size() > kMaxFds) return info.GetReturnValue().Set(ETOOMANYREFS);
	message.body.assign(body);
	int error = self->queue_.empty() ? self->Transmit(message) : EAGAIN;
	if (error == EAGAIN) {
		self->queue_.push_back(std::move(message));
		self->Want(UV_READABLE | UV_WRITABLE);
		error = 0;
	}
	info.GetReturnValue().Set(error);
}

NAN_METHOD(Channel::Shut) {
	Nan::ObjectWrap::Unwrap<Channel>(info.This())->Close();
}

void Channel::Init(v8::Local<v8::Object> exports) {
	v8::Local<v8::FunctionTemplate> type = Nan::New<v8::FunctionTemplate>(New);
	type->InstanceTemplate()->SetInternalFieldCount(1);
	type->SetClassName(Nan::New("Channel").ToLocalChecked());
	Nan::SetPrototypeMethod(type, "send", Send);
	Nan::SetPrototypeMethod(type, "close", Shut);
	SetField(exports, "Channel", Nan::GetFunction(type).ToLocalChecked());
}

}  // namespace

void InitChannel(v8::Local<v8::Object> exports) {
	Channel::Init(exports);
}

}  // namespace berth
