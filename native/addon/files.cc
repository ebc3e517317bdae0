// Many small files in one go, and syncfs(2).
#include "addon.h"
#include "work.h"

#include <fcntl.h>

namespace berth {

namespace {

constexpr size_t kMaxFileBytes = 64 * 1024;

using Contents = std::vector<std::optional<std::string>>;

std::optional<std::string> ReadFile(const std::string& path, std::string& buffer) {
	// Statistics only: a FIFO among the paths must not hang the worker.
	Fd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	if (!file.valid()) return std::nullopt;
	size_t length = 0;
	while (length < buffer.size()) {
		const ssize_t bytes = read(file.get(), buffer.data() + length, buffer.size() - length);
		if (bytes < 0 && errno == EINTR) continue;
		if (bytes < 0) return std::nullopt;
		if (bytes == 0) break;
		length += static_cast<size_t>(bytes);
	}
	return buffer.substr(0, length);
}

v8::Local<v8::Value> ContentsToJs(Contents& contents) {
	v8::Local<v8::Array> array = Nan::New<v8::Array>(static_cast<int>(contents.size()));
	for (size_t i = 0; i < contents.size(); i++) {
		v8::Local<v8::Value> content = Nan::Null();
		if (contents[i]) content = ToBuffer(*contents[i]);
		Nan::Set(array, static_cast<uint32_t>(i), content).Check();
	}
	return array;
}

// readFiles(paths, callback(failure, (Buffer | null)[]))
NAN_METHOD(ReadFiles) {
	Arguments arguments(info);
	std::vector<std::string> paths = arguments.Strings();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Contents>(callback, [paths = std::move(paths)] {
		Contents contents;
		std::string buffer(kMaxFileBytes, '\0');
		for (const std::string& path : paths) contents.push_back(ReadFile(path, buffer));
		return contents;
	}, ContentsToJs);
}

// syncFilesystem(path, callback)
NAN_METHOD(SyncFilesystem) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit(callback, [=] {
		Fd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
		if (!file.valid()) Fail("open", path);
		if (syncfs(file.get()) != 0) Fail("sync filesystem of", path);
	});
}

}  // namespace

void InitFiles(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "readFiles", ReadFiles);
	Nan::SetMethod(exports, "syncFilesystem", SyncFilesystem);
}

}  // namespace berth
