#include "tree.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "failure.h"

namespace berth::unpack {
namespace {

// OCI image-spec layer.md, "Whiteouts"; names that begin with two prefixes are aufs's own and mean nothing here.
constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kAufs = ".wh..wh.";

struct timespec TimeOf(const TarEntry& entry) {
	return {static_cast<time_t>(entry.mtimeSeconds), static_cast<long>(entry.mtimeNs)};
}

// trusted.overlay.* would let a layer forge whiteouts and redirects; security.selinux and the like belong to the host.
bool MayKeep(const std::string& xattr) {
	return xattr.starts_with("user.") || xattr == "security.capability" || xattr == "system.posix_acl_access" || xattr == "system.posix_acl_default";
}

bool HasPartBeginning(std::string_view path, std::string_view prefix) {
	return path.starts_with(prefix) || path.find("/" + std::string(prefix)) != std::string_view::npos;
}

// Runs `make`; where something is in the way it is removed first and `make` runs again.
template <typename Make>
void Replacing(Root& root, int parent, const std::string& base, const TarEntry& entry, const char* stage, Make make) {
	if (make() == 0) return;
	if (errno == EEXIST) {
		root.RemoveExisting(parent, base, entry.path);
		if (make() == 0) return;
	}
	throw Failure(stage, errno, entry.path);
}

}  // namespace

void TreeWriter::Begin(const TarEntry& entry) {
	current_ = entry;
	// Counts entries too: a hard link or a replaced file costs no inode but work.
	if (++entries_ > maxEntries_) {
		throw Failure(FailureKind::kLimit, "entry " + Quote(entry.path) + ": the layer has more than " + std::to_string(maxEntries_) + " entries");
	}
	if (entry.path.empty() && entry.type != EntryType::kDirectory) CorruptEntry(entry.path, "the root must be a directory");
	if (HandleWhiteout(entry)) return;
	switch (entry.type) {
		case EntryType::kDirectory:
			return WriteDirectory(entry);
		case EntryType::kFile:
			return StartFile(entry);
		case EntryType::kHardLink:
			return WriteHardLink(entry);
		case EntryType::kSymlink:
			return WriteSymlink(entry);
		case EntryType::kCharDevice:
		case EntryType::kBlockDevice:
		case EntryType::kFifo:
			return WriteNode(entry);
	}
}

void TreeWriter::Data(const uint8_t* data, size_t size) {
	if (!file_.valid()) return;  // data of a whiteout
	while (size > 0) {
		const ssize_t written = write(file_.get(), data, size);
		if (written < 0) {
			if (errno == EINTR) continue;
			throw Failure("write", errno, current_.path);
		}
		data += written;
		size -= static_cast<size_t>(written);
	}
}

void TreeWriter::End() {
	if (!file_.valid()) return;
	SetOpenAttributes(file_.get(), current_);
	const struct timespec times[2] = {TimeOf(current_), TimeOf(current_)};
	if (futimens(file_.get(), times) != 0) throw Failure("set modification time", errno, current_.path);
	struct stat status {};
	if (fstat(file_.get(), &status) != 0) throw Failure("stat", errno, current_.path);
	root_.CountDisk(static_cast<uint64_t>(status.st_blocks) * 512);
	file_.Reset();
}

void TreeWriter::Finish() {
	for (auto time = directoryTimes_.rbegin(); time != directoryTimes_.rend(); ++time) {
		const Fd directory = root_.OpenPath(time->path, O_RDONLY | O_DIRECTORY);
		if (!directory.valid()) continue;  // a later entry replaced it
		const struct timespec value {static_cast<time_t>(time->seconds), static_cast<long>(time->ns)};
		const struct timespec times[2] = {value, value};
		if (futimens(directory.get(), times) != 0) throw Failure("set modification time", errno, time->path);
	}
}

bool TreeWriter::HandleWhiteout(const TarEntry& entry) {
	if (!HasPartBeginning(entry.path, kWhiteout)) return false;
	const std::string base(BaseOf(entry.path));
	const std::string_view parentPath = ParentOf(entry.path);
	if (base == kOpaque && !HasPartBeginning(parentPath, kWhiteout)) {
		SetOpaque(root_.OpenParent(entry.path), entry.path);
		return true;
	}
	if (HasPartBeginning(entry.path, kAufs)) return true;
	if (HasPartBeginning(parentPath, kWhiteout)) CorruptEntry(entry.path, "its parent is a whiteout");
	const std::string hidden = base.substr(kWhiteout.size());
	if (hidden.empty() || hidden == "." || hidden == "..") CorruptEntry(entry.path, "the whiteout names nothing");
	MakeWhiteout(root_.OpenParent(entry.path), hidden, entry);
	return true;
}

// A whiteout hides only lower layers' content: what this layer has of that name stays (image-spec layer.md), but a
// directory must not merge with the lower one any more.
void TreeWriter::MakeWhiteout(int parent, const std::string& base, const TarEntry& entry) {
	struct stat status {};
	if (fstatat(parent, base.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(status.st_mode)) return;
		const Fd directory(openat(parent, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		if (!directory.valid()) throw Failure("open", errno, entry.path);
		return SetOpaque(directory.get(), entry.path);
	}
	if (errno != ENOENT) throw Failure("stat", errno, entry.path);
	root_.CountInode(entry.path);
	if (mknodat(parent, base.c_str(), S_IFCHR, makedev(0, 0)) != 0) throw Failure("make whiteout", errno, entry.path);
}

void TreeWriter::WriteDirectory(const TarEntry& entry) {
	Fd directory;
	if (entry.path.empty()) {
		directory = root_.OpenPath("", O_RDONLY | O_DIRECTORY);
	} else {
		const int parent = root_.OpenParent(entry.path);
		const std::string base(BaseOf(entry.path));
		struct stat status {};
		if (fstatat(parent, base.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode) && !IsWhiteout(status)) {
			root_.RemoveExisting(parent, base, entry.path);
		}
		root_.MakeDirectory(parent, base, entry.path);
		directory = Fd(openat(parent, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	}
	if (!directory.valid()) throw Failure("open directory", errno, entry.path);
	SetOpenAttributes(directory.get(), entry);
	directoryTimes_.push_back({entry.path, entry.mtimeSeconds, entry.mtimeNs});
}

void TreeWriter::StartFile(const TarEntry& entry) {
	const int parent = root_.OpenParent(entry.path);
	const std::string base(BaseOf(entry.path));
	root_.CountInode(entry.path);
	Replacing(root_, parent, base, entry, "create", [&] {
		file_ = Fd(openat(parent, base.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
		return file_.valid() ? 0 : -1;
	});
}

void TreeWriter::WriteHardLink(const TarEntry& entry) {
	const int parent = root_.OpenParent(entry.path);
	const std::string base(BaseOf(entry.path)), targetBase(BaseOf(entry.link));
	if (targetBase.empty()) CorruptEntry(entry.path, "a hard link to the root is not possible");
	const Fd targetParent = root_.OpenExistingParent(entry.link, entry.path);
	struct stat target {}, existing {};
	const auto missing = [&] { CorruptEntry(entry.path, "it links to " + Quote(entry.link) + ", which the layer does not have"); };
	if (fstatat(targetParent.get(), targetBase.c_str(), &target, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) missing();
		throw Failure("stat hard link target", errno, entry.path);
	}
	if (S_ISDIR(target.st_mode)) CorruptEntry(entry.path, "a hard link to a directory is not possible");
	if (fstatat(parent, base.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0) {
		if (existing.st_ino == target.st_ino && existing.st_dev == target.st_dev) return;
		root_.RemoveExisting(parent, base, entry.path);
	}
	if (linkat(targetParent.get(), targetBase.c_str(), parent, base.c_str(), 0) == 0) return;
	if (errno == ENOENT) missing();
	throw Failure("make hard link", errno, entry.path);
}

void TreeWriter::WriteSymlink(const TarEntry& entry) {
	if (entry.link.empty()) CorruptEntry(entry.path, "the symbolic link has no target");
	if (entry.link.size() >= PATH_MAX) CorruptEntry(entry.path, "the symbolic link's target is longer than 4095 bytes");
	if (entry.link.find('\0') != std::string::npos) CorruptEntry(entry.path, "the symbolic link's target contains a NUL byte");
	const int parent = root_.OpenParent(entry.path);
	const std::string base(BaseOf(entry.path));
	root_.CountInode(entry.path);
	Replacing(root_, parent, base, entry, "make symbolic link", [&] { return symlinkat(entry.link.c_str(), parent, base.c_str()); });
	const struct timespec times[2] = {TimeOf(entry), TimeOf(entry)};
	if (fchownat(parent, base.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("change owner", errno, entry.path);
	if (utimensat(parent, base.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("set modification time", errno, entry.path);
}

void TreeWriter::WriteNode(const TarEntry& entry) {
	const int parent = root_.OpenParent(entry.path);
	const std::string base(BaseOf(entry.path));
	const mode_t type = entry.type == EntryType::kFifo ? S_IFIFO : entry.type == EntryType::kCharDevice ? S_IFCHR : S_IFBLK;
	const dev_t device = entry.type == EntryType::kFifo ? 0 : makedev(entry.major, entry.minor);
	root_.CountInode(entry.path);
	Replacing(root_, parent, base, entry, "make node", [&] { return mknodat(parent, base.c_str(), type, device); });
	const struct timespec times[2] = {TimeOf(entry), TimeOf(entry)};
	if (fchownat(parent, base.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("change owner", errno, entry.path);
	// fchmodat follows links, but this name was made a moment ago and nobody else writes here.
	if (fchmodat(parent, base.c_str(), entry.mode, 0) != 0) throw Failure("change mode", errno, entry.path);
	if (utimensat(parent, base.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("set modification time", errno, entry.path);
}

// The owner first: chown clears setuid bits and security.capability.
void TreeWriter::SetOpenAttributes(int fd, const TarEntry& entry) {
	if (fchown(fd, entry.uid, entry.gid) != 0) throw Failure("change owner", errno, entry.path);
	if (fchmod(fd, entry.mode) != 0) throw Failure("change mode", errno, entry.path);
	SetXattrs(fd, entry);
}

void TreeWriter::SetXattrs(int fd, const TarEntry& entry) {
	for (const auto& [name, value] : entry.xattrs) {
		if (!MayKeep(name)) continue;
		if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
		// A filesystem without user xattrs or ACLs loses decoration; one without capabilities would break programs.
		if (errno == EOPNOTSUPP && name != "security.capability") continue;
		if (errno == EINVAL || errno == ERANGE || errno == E2BIG) CorruptEntry(entry.path, "the kernel refuses the value of xattr " + Quote(name));
		throw Failure("set xattr " + Quote(name), errno, entry.path);
	}
}

}  // namespace berth::unpack
