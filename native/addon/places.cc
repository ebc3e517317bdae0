// What is to be there before a container is made, each in one piece of work: a writable layer; directories on the node.
#include "addon.h"
#include "work.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace berth {

namespace {

constexpr mode_t kLayerMode = 0711;
constexpr mode_t kWorkMode = 0700;
constexpr mode_t kRecordMode = 0600;
constexpr mode_t kDirectoryMode = 0755;

struct Look {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

void WriteRecord(int dir, const std::string& path, const std::string& record) {
	Fd file(openat(dir, "snapshot.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kRecordMode));
	if (!file.valid()) Fail("write record of layer", path);
	for (size_t at = 0; at < record.size();) {
		const ssize_t count = write(file.get(), record.data() + at, record.size() - at);
		if (count < 0 && errno != EINTR) Fail("write record of layer", path);
		if (count > 0) at += static_cast<size_t>(count);
	}
}

void MakeLayer(const std::string& path, const Look& look, const std::string& record) {
	if (mkdir(path.c_str(), kLayerMode) != 0) Fail("make layer", path);
	Fd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!dir.valid() || mkdirat(dir.get(), "diff", kDirectoryMode) != 0 || mkdirat(dir.get(), "work", kWorkMode) != 0) Fail("make layer", path);
	if ((look.uid != 0 || look.gid != 0) && fchownat(dir.get(), "diff", look.uid, look.gid, AT_SYMLINK_NOFOLLOW) != 0) Fail("make layer", path);
	if (look.mode != kDirectoryMode && fchmodat(dir.get(), "diff", look.mode, 0) != 0) Fail("make layer", path);
	if (!record.empty()) WriteRecord(dir.get(), path, record);
}

// makeLayer(path, mode, uid, gid, record, callback): `record` '' = none
NAN_METHOD(MakeWritableLayer) {
	Arguments arguments(info);
	std::string path = arguments.String();
	const Look look = {static_cast<mode_t>(arguments.Number()), static_cast<uid_t>(arguments.Number()), static_cast<gid_t>(arguments.Number())};
	std::string record = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit(callback, [=] { MakeLayer(path, look, record); });
}

// The directory and what is missing above it. What is in its place already is left to whoever opens it.
void MakeDirectory(const std::string& path, const char* stage) {
	if (mkdir(path.c_str(), kDirectoryMode) == 0 || errno == EEXIST) return;
	const size_t slash = path.find_last_of('/');
	if (errno != ENOENT || slash == std::string::npos || slash == 0) Fail(stage, path);
	MakeDirectory(path.substr(0, slash), stage);
	if (mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) Fail(stage, path);
}

// All are asked for before one is made: of paths with a bad one none is made.
void MakeHostPaths(const std::string& logDir, const std::vector<std::string>& paths) {
	std::vector<const std::string*> missing;
	struct stat status;
	for (const std::string& path : paths) {
		if (stat(path.c_str(), &status) == 0) continue;
		if (errno != ENOENT) Fail("mounts.host_path stat", path);
		missing.push_back(&path);
	}
	if (!logDir.empty() && stat(logDir.c_str(), &status) != 0) MakeDirectory(logDir, "log_path mkdir");
	for (const std::string* path : missing) MakeDirectory(*path, "mounts.host_path mkdir");
}

// makeHostPaths(logDir, paths, callback): `logDir` '' = none
NAN_METHOD(MakeHostPathsMissing) {
	Arguments arguments(info);
	std::string logDir = arguments.String();
	std::vector<std::string> paths = arguments.Strings();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit(callback, [logDir = std::move(logDir), paths = std::move(paths)] { MakeHostPaths(logDir, paths); });
}

}  // namespace

void InitPlaces(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "makeLayer", MakeWritableLayer);
	Nan::SetMethod(exports, "makeHostPaths", MakeHostPathsMissing);
}

}  // namespace berth
