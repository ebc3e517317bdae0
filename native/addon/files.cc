// Many small files in one go, writes to files of the kernel, and syncfs(2).
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

// writeFile(path, value, callback): one write(2) to a file that is there, as cgroup files and those of /proc want it
NAN_METHOD(WriteFile) {
	Arguments arguments(info);
	std::string path = arguments.String();
	std::string value = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit(callback, [=] {
		Fd file(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
		if (!file.valid()) Fail("write", path);
		ssize_t written;
		do written = write(file.get(), value.data(), value.size());
		while (written < 0 && errno == EINTR);
		if (written < 0) Fail("write", path);
	});
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
	Nan::SetMethod(exports, "writeFile", WriteFile);
	Nan::SetMethod(exports, "syncFilesystem", SyncFilesystem);
}

}  // namespace berth
