// Mounts in the daemon's own mount namespace: pinned network namespaces, and detached copies of host paths for containers.
#include "addon.h"
#include "work.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

namespace berth {

namespace {

// linux/mount.h cannot be included together with sys/mount.h of every C library.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kAtRecursive = 0x8000;
// linux/magic.h
constexpr long kNsfsMagic = 0x6e736673;
constexpr long kTmpfsMagic = 0x01021994;

void MakeParents(const std::string& path) {
	for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
		const std::string dir = path.substr(0, slash);
		if (mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) Fail("make directory", dir);
	}
}

bool IsMountPoint(const std::string& path) {
	struct stat own, parent;
	return stat(path.c_str(), &own) == 0 && stat((path + "/..").c_str(), &parent) == 0 && own.st_dev != parent.st_dev;
}

void PinNetworkNamespace(int pid, const std::string& path) {
	const std::string source = "/proc/" + std::to_string(pid) + "/ns/net";
	MakeParents(path);
	struct statfs info;
	if (statfs(path.c_str(), &info) == 0 && info.f_type == kNsfsMagic) throw Failure{"pin network namespace", EEXIST, path};
	Fd file(open(path.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444));
	if (!file.valid()) Fail("make pin of network namespace", path);
	if (mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
		const int error = errno;
		unlink(path.c_str());
		throw Failure{"pin network namespace", error, path};
	}
}

void UnpinNetworkNamespace(const std::string& path) {
	// More than one when an earlier daemon pinned twice; EINVAL: not a mount point (any more).
	while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
	if (errno != EINVAL && errno != ENOENT) Fail("unpin network namespace", path);
	if (unlink(path.c_str()) != 0 && errno != ENOENT) Fail("remove pin of network namespace", path);
}

void MountTmpfs(const std::string& path, double sizeBytes) {
	struct statfs info;
	MakeParents(path);
	if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) Fail("make directory", path);
	if (statfs(path.c_str(), &info) == 0 && info.f_type == kTmpfsMagic && IsMountPoint(path)) throw Failure{"mount tmpfs", EEXIST, path};
	const std::string options = "mode=1777,size=" + std::to_string(static_cast<unsigned long long>(sizeBytes));
	if (mount("shm", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0) Fail("mount tmpfs", path);
}

void UnmountDirectory(const std::string& path) {
	while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
	if (errno != EINVAL && errno != ENOENT) Fail("unmount", path);
	if (rmdir(path.c_str()) != 0 && errno != ENOENT) Fail("remove directory", path);
}

// mountTmpfs(path, sizeBytes, callback)
NAN_METHOD(MountShm) {
	Arguments arguments(info);
	std::string path = arguments.String();
	const double sizeBytes = arguments.Number();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { MountTmpfs(path, sizeBytes); });
}

// unmountDirectory(path, callback)
NAN_METHOD(Unmount) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { UnmountDirectory(path); });
}

// pinNetworkNamespace(pid, path, callback)
NAN_METHOD(Pin) {
	Arguments arguments(info);
	const int pid = arguments.Int();
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { PinNetworkNamespace(pid, path); });
}

// unpinNetworkNamespace(path, callback)
NAN_METHOD(Unpin) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { UnpinNetworkNamespace(path); });
}

struct LaunchFiles {
	std::vector<Fd> fds;
};

LaunchFiles OpenLaunchFiles(const std::vector<std::string>& sources, const std::string& recursive, const std::string& logDir) {
	LaunchFiles files;
	for (size_t i = 0; i < sources.size(); i++) {
		const unsigned flags = kOpenTreeClone | O_CLOEXEC | (recursive[i] != 0 ? kAtRecursive : 0);
		files.fds.emplace_back(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, sources[i].c_str(), flags)));
		if (!files.fds.back().valid()) Fail("open mount source", sources[i]);
	}
	if (!logDir.empty()) {
		files.fds.emplace_back(open(logDir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (!files.fds.back().valid()) Fail("open log directory", logDir);
	}
	return files;
}

// openLaunchFiles(sources, recursive (a byte for each source), logDir ('' = none), callback(failure, fds)): detached copies of
// the sources' mounts, then the log directory.
NAN_METHOD(OpenLaunchFilesOffLoop) {
	Arguments arguments(info);
	std::vector<std::string> sources = arguments.Strings();
	std::string recursive(arguments.Bytes());
	std::string logDir = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	recursive.resize(sources.size());
	Submit<LaunchFiles>(callback, [=] { return OpenLaunchFiles(sources, recursive, logDir); }, [](LaunchFiles& files) -> v8::Local<v8::Value> {
		v8::Local<v8::Array> numbers = Nan::New<v8::Array>(static_cast<int>(files.fds.size()));
		for (size_t i = 0; i < files.fds.size(); i++) Nan::Set(numbers, static_cast<uint32_t>(i), Nan::New(files.fds[i].Release())).Check();
		return numbers;
	});
}

}  // namespace

void InitMounts(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "pinNetworkNamespace", Pin);
	Nan::SetMethod(exports, "mountTmpfs", MountShm);
	Nan::SetMethod(exports, "unmountDirectory", Unmount);
	Nan::SetMethod(exports, "unpinNetworkNamespace", Unpin);
	Nan::SetMethod(exports, "openLaunchFiles", OpenLaunchFilesOffLoop);
}

}  // namespace berth
