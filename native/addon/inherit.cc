// A layer's directories that its archive does not name look as in the layers below.
#include "addon.h"
#include "work.h"

#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

namespace berth {

namespace {

Fd OpenBeneath(int root, const char* path) {
	struct open_how how = {};
	how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	return Fd(static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how)));
}

bool IsOpaque(int directory) {
	char value = 0;
	return fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

enum class Look { kFound, kAbsent, kHidden };

// As overlay looks a name up in one layer: what is no directory (a whiteout too) or opaque hides the layers below.
Look LookUp(int root, const std::string& path, Fd& found) {
	Fd at(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	bool opaque = false;
	for (size_t start = 0; start < path.size();) {
		size_t end = path.find('/', start);
		if (end == std::string::npos) end = path.size();
		const std::string name = path.substr(start, end - start);
		start = end + 1;
		Fd next(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
		if (!next.valid()) {
			if (errno == ENOENT) return opaque ? Look::kHidden : Look::kAbsent;
			if (errno == ENOTDIR || errno == ELOOP) return Look::kHidden;
			Fail("look up in layer", path);
		}
		opaque = opaque || IsOpaque(next.get());
		at = std::move(next);
	}
	found = std::move(at);
	return Look::kFound;
}

// security.* but file capabilities, and trusted.*, are not the image's.
bool IsInherited(const char* xattr) {
	return strncmp(xattr, "user.", 5) == 0 || strcmp(xattr, "system.posix_acl_access") == 0 || strcmp(xattr, "system.posix_acl_default") == 0;
}

void CopyXattrs(int from, int to, const std::string& path) {
	std::string names(XATTR_LIST_MAX, '\0');
	const ssize_t length = flistxattr(from, names.data(), names.size());
	if (length < 0 && errno != EOPNOTSUPP) Fail("list xattrs of", path);
	for (const char* name = names.data(); length > 0 && name < names.data() + length; name += strlen(name) + 1) {
		if (!IsInherited(name)) continue;
		std::string value(XATTR_SIZE_MAX, '\0');
		const ssize_t bytes = fgetxattr(from, name, value.data(), value.size());
		if (bytes < 0 || fsetxattr(to, name, value.data(), static_cast<size_t>(bytes), 0) != 0) Fail(std::string("copy xattr ") + name + " to", path);
	}
}

void CopyLooks(int from, int to, const std::string& path) {
	struct stat status;
	if (fstat(from, &status) != 0) Fail("stat", path);
	if (fchown(to, status.st_uid, status.st_gid) != 0) Fail("change owner of", path);
	CopyXattrs(from, to, path);
	if (fchmod(to, status.st_mode & 07777) != 0) Fail("change mode of", path);
	const timespec times[2] = {status.st_atim, status.st_mtim};
	if (futimens(to, times) != 0) Fail("set modification time of", path);
}

void Inherit(const std::string& layerDir, const std::vector<std::string>& lowerDirs, const std::string& directories) {
	Fd layer(open(layerDir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!layer.valid()) Fail("open layer", layerDir);
	std::vector<Fd> lowers;
	for (const std::string& path : lowerDirs) {
		lowers.emplace_back(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		if (!lowers.back().valid()) Fail("open layer", path);
	}
	for (size_t start = 0; start < directories.size();) {
		const std::string path(directories.c_str() + start);
		start += path.size() + 1;
		// Replaced by something else meanwhile, or reached through a link of the layer's own: not what merges under this name.
		const Fd own = OpenBeneath(layer.get(), path.c_str());
		if (!own.valid()) continue;
		for (const Fd& lower : lowers) {
			Fd found;
			const Look look = LookUp(lower.get(), path, found);
			if (look == Look::kFound) CopyLooks(found.get(), own.get(), path);
			if (look != Look::kAbsent) break;
		}
	}
}

// inheritDirectories(layerDir, lowerDirs, directories, callback)
NAN_METHOD(InheritDirectories) {
	Arguments arguments(info);
	std::string layerDir = arguments.String();
	std::vector<std::string> lowerDirs = arguments.Strings();
	std::string directories(arguments.Bytes());
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit(callback, [layerDir, lowerDirs = std::move(lowerDirs), directories = std::move(directories)] { Inherit(layerDir, lowerDirs, directories); });
}

}  // namespace

void InitInherit(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "inheritDirectories", InheritDirectories);
}

}  // namespace berth
