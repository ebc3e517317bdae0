#include "tree.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <climits>

#include "failure.h"

namespace berth::unpack {
namespace {

constexpr const char* kAccessAcl = "system.posix_acl_access";
constexpr const char* kDefaultAcl = "system.posix_acl_default";
// Files from this size on are handed to the disk when they are whole: the sync at the image's end then finds them written.
constexpr uint64_t kWriteBackBytes = 1 << 20;

struct timespec TimeOf(const TarEntry& entry) {
	return {static_cast<time_t>(entry.mtimeSeconds), static_cast<long>(entry.mtimeNs)};
}

// trusted.overlay.* would let a layer forge whiteouts and redirects, user.overlay.* the same where overlay is mounted with userxattr;
// security.selinux and the like belong to the host.
bool MayKeep(const std::string& xattr) {
	if (xattr.starts_with("user.overlay.")) return false;
	return xattr.starts_with("user.") || xattr == "security.capability" || xattr == kAccessAcl || xattr == kDefaultAcl;
}

void SetTimes(int fd, const TarEntry& entry) {
	const struct timespec times[2] = {TimeOf(entry), TimeOf(entry)};
	if (futimens(fd, times) != 0) throw Failure("set modification time", errno, entry.path);
}

void SetTimes(int parent, const char* base, const TarEntry& entry) {
	const struct timespec times[2] = {TimeOf(entry), TimeOf(entry)};
	if (utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("set modification time", errno, entry.path);
}

void RequireRemoved(int result, const TarEntry& entry) {
	if (result != 0 && errno != ENODATA && errno != EOPNOTSUPP && errno != EACCES) throw Failure("remove inherited access rules", errno, entry.path);
}

}  // namespace

void TreeWriter::Begin(const TarEntry& entry) {
	current_ = &entry;
	// Counts entries too: a hard link or a replaced file costs no inode but work.
	if (++entries_ > limits_.maxInodes) {
		throw Failure(FailureKind::kLimit, "entry " + Quote(entry.path) + ": the layer has more than " + std::to_string(limits_.maxInodes) + " entries");
	}
	if (entry.size > limits_.maxBytes) {
		throw Failure(FailureKind::kLimit, "entry " + Quote(entry.path) + ": the layer unpacks to more than " + std::to_string(limits_.maxBytes) + " bytes");
	}
	if (entry.path.empty() && entry.type != EntryType::kDirectory) CorruptEntry(entry.path, "the root must be a directory");
	if (HandleWhiteout(entry)) return;
	switch (entry.type) {
		case EntryType::kDirectory:
			return entry.path.empty() ? WriteRoot(entry) : WriteDirectory(entry);
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
			throw Failure("write", errno, current_->path);
		}
		data += written;
		size -= static_cast<size_t>(written);
	}
}

void TreeWriter::End() {
	if (!file_.valid()) return;
	SetOwnerAndMode(file_.get(), *current_, fileKnown_);
	SetXattrs(file_.get(), *current_);
	SetTimes(file_.get(), *current_);
	if (current_->size > 0) {
		struct stat status {};
		if (fstat(file_.get(), &status) != 0) throw Failure("stat", errno, current_->path);
		root_.CountDisk(static_cast<uint64_t>(status.st_blocks) * 512);
	}
	// Only a beginning: what goes wrong the sync at the end tells.
	if (current_->size >= kWriteBackBytes) sync_file_range(file_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
	file_.Reset();
}

// Runs `make`; where something is in the way it is removed first and `make` runs again.
template <typename Make>
void TreeWriter::Replacing(const OpenDirectory& parent, const TarEntry& entry, const char* stage, Make make) {
	if (make() == 0) return;
	if (errno == EEXIST) {
		root_.RemoveExisting(parent.fd.get(), BaseOf(entry.path), entry.path);
		if (make() == 0) return;
	}
	throw Failure(stage, errno, entry.path);
}

void TreeWriter::WriteRoot(const TarEntry& entry) {
	rootNamed_ = true;
	const Fd directory = root_.OpenRoot();
	SetOwnerAndMode(directory.get(), entry, false);
	SetXattrs(directory.get(), entry);
	SetTimes(directory.get(), entry);
}

void TreeWriter::WriteDirectory(const TarEntry& entry) {
	const OpenDirectory& parent = root_.OpenParent(entry.path);
	const char* base = BaseOf(entry.path);
	const Root::Made made = root_.MakeDirectory(parent.fd.get(), base, entry.mode & 0777, entry.path, true);
	root_.Named(entry.path);
	Fd directory(openat(parent.fd.get(), base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!directory.valid()) throw Failure("open directory", errno, entry.path);
	if (made == Root::Made::kNewOpaque) SetOpaque(directory.get(), entry.path);
	SetOwnerAndMode(directory.get(), entry, made != Root::Made::kFound && !parent.setgid);
	SetXattrs(directory.get(), entry);
	SetTimes(directory.get(), entry);
	root_.Offer({entry.path, std::move(directory), TimeOf(entry), (entry.mode & S_ISGID) != 0});
}

void TreeWriter::StartFile(const TarEntry& entry) {
	const OpenDirectory& parent = root_.OpenParent(entry.path);
	root_.CountInode(entry.path);
	Replacing(parent, entry, "create", [&] {
		file_ = Fd(openat(parent.fd.get(), BaseOf(entry.path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry.mode & 0777));
		return file_.valid() ? 0 : -1;
	});
	fileKnown_ = !parent.setgid;
}

void TreeWriter::WriteHardLink(const TarEntry& entry) {
	const OpenDirectory& parent = root_.OpenParent(entry.path);
	const char* targetBase = BaseOf(entry.link);
	if (entry.link.empty()) CorruptEntry(entry.path, "a hard link to the root is not possible");
	const Fd targetParent = root_.OpenExistingParent(entry.link, entry.path);
	struct stat target {}, existing {};
	const auto missing = [&] { CorruptEntry(entry.path, "it links to " + Quote(entry.link) + ", which the layer does not have"); };
	if (fstatat(targetParent.get(), targetBase, &target, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) missing();
		throw Failure("stat hard link target", errno, entry.path);
	}
	// A second name for a whiteout would hide something that the layer does not say.
	if (IsWhiteout(target)) missing();
	if (S_ISDIR(target.st_mode)) CorruptEntry(entry.path, "a hard link to a directory is not possible");
	const auto link = [&] { return linkat(targetParent.get(), targetBase, parent.fd.get(), BaseOf(entry.path), 0); };
	if (link() == 0) return;
	if (errno == EEXIST) {
		if (fstatat(parent.fd.get(), BaseOf(entry.path), &existing, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("stat", errno, entry.path);
		if (existing.st_ino == target.st_ino && existing.st_dev == target.st_dev) return;
		root_.RemoveExisting(parent.fd.get(), BaseOf(entry.path), entry.path);
		if (link() == 0) return;
	}
	// What it replaced may have held its target.
	if (errno == ENOENT) missing();
	throw Failure("make hard link", errno, entry.path);
}

void TreeWriter::WriteSymlink(const TarEntry& entry) {
	if (entry.link.empty()) CorruptEntry(entry.path, "the symbolic link has no target");
	if (entry.link.size() >= PATH_MAX) CorruptEntry(entry.path, "the symbolic link's target is longer than 4095 bytes");
	if (entry.link.find('\0') != std::string::npos) CorruptEntry(entry.path, "the symbolic link's target contains a NUL byte");
	const OpenDirectory& parent = root_.OpenParent(entry.path);
	const char* base = BaseOf(entry.path);
	root_.CountInode(entry.path);
	Replacing(parent, entry, "make symbolic link", [&] { return symlinkat(entry.link.c_str(), parent.fd.get(), base); });
	if ((entry.uid != 0 || entry.gid != 0 || parent.setgid) && fchownat(parent.fd.get(), base, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
		throw Failure("change owner", errno, entry.path);
	}
	SetTimes(parent.fd.get(), base, entry);
}

void TreeWriter::WriteNode(const TarEntry& entry) {
	const OpenDirectory& parent = root_.OpenParent(entry.path);
	const char* base = BaseOf(entry.path);
	const mode_t type = entry.type == EntryType::kFifo ? S_IFIFO : entry.type == EntryType::kCharDevice ? S_IFCHR : S_IFBLK;
	const dev_t device = entry.type == EntryType::kFifo ? 0 : makedev(entry.major, entry.minor);
	root_.CountInode(entry.path);
	Replacing(parent, entry, "make node", [&] { return mknodat(parent.fd.get(), base, type, device); });
	if (fchownat(parent.fd.get(), base, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("change owner", errno, entry.path);
	if (inheritsAcl_) {
		// By the thread's own working directory: a descriptor of a device would open it.
		if (fchdir(parent.fd.get()) != 0) throw Failure("enter directory", errno, entry.path);
		RequireRemoved(lremovexattr(base, kAccessAcl), entry);
	}
	// fchmodat follows links, but this name was made a moment ago and nobody else writes here.
	if (fchmodat(parent.fd.get(), base, entry.mode, 0) != 0) throw Failure("change mode", errno, entry.path);
	SetTimes(parent.fd.get(), base, entry);
}

// `known`: it was made just now with the permission bits, and nothing was inherited. The owner first: chown clears setuid bits and security.capability.
void TreeWriter::SetOwnerAndMode(int fd, const TarEntry& entry, bool known) {
	const bool owned = known && entry.uid == 0 && entry.gid == 0;
	if (!owned && fchown(fd, entry.uid, entry.gid) != 0) throw Failure("change owner", errno, entry.path);
	if (inheritsAcl_) {
		// Before the mode: it is a part of the rules.
		for (const char* acl : {kAccessAcl, kDefaultAcl}) RequireRemoved(fremovexattr(fd, acl), entry);
	}
	const bool modeKnown = owned && !inheritsAcl_ && (entry.mode & 07000) == 0;
	if (!modeKnown && fchmod(fd, entry.mode) != 0) throw Failure("change mode", errno, entry.path);
}

void TreeWriter::SetXattrs(int fd, const TarEntry& entry) {
	for (const auto& [name, value] : entry.xattrs) {
		if (!MayKeep(name)) continue;
		if (name == kDefaultAcl) inheritsAcl_ = true;
		if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
		// A filesystem without user xattrs or ACLs loses decoration; one without capabilities would break programs.
		if (errno == EOPNOTSUPP && name != "security.capability") continue;
		if (errno == EINVAL || errno == ERANGE || errno == E2BIG) CorruptEntry(entry.path, "the kernel refuses the value of xattr " + Quote(name));
		throw Failure("set xattr " + Quote(name), errno, entry.path);
	}
}

}  // namespace berth::unpack
