#include "root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "failure.h"

namespace berth::unpack {
namespace {

constexpr uint64_t kDirectory = O_PATH | O_DIRECTORY | O_CLOEXEC;
// Symbolic links may nest directories deeper than any single path; the walk that removes them stays within the stack and the fd limit.
constexpr int kMaxRemoveDepth = 512;
// Each is kept by its whole path: some 100,000 of usual length.
constexpr size_t kMaxUnnamedBytes = 8 << 20;

int OpenInRoot(int root, const char* path, uint64_t flags) {
	struct open_how how {};
	how.flags = flags | O_CLOEXEC;
	how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	for (int attempt = 0;; attempt++) {
		const long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
		// EAGAIN: some rename in the system raced with a ".." of a link (openat2(2)).
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == 1000) return static_cast<int>(fd);
	}
}

[[noreturn]] void FailParent(const std::string& entry, int error) {
	switch (error) {
		case ENOTDIR:
			CorruptEntry(entry, "its parent is not a directory");
		case ELOOP:
			CorruptEntry(entry, "its parent has too many levels of symbolic links");
		case ENAMETOOLONG:
			CorruptEntry(entry, "the path is too long");
		default:
			throw Failure("open parent directory", error, entry);
	}
}

}  // namespace

std::string_view ParentOf(std::string_view path) {
	const size_t slash = path.rfind('/');
	return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

const char* BaseOf(const std::string& path) {
	const size_t slash = path.rfind('/');
	return path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
}

bool IsWhiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0); }

void SetOpaque(int directory, const std::string& entry) {
	if (fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) != 0) throw Failure("set trusted.overlay.opaque", errno, entry);
}

void Root::CountInode(const std::string& entry) {
	if (++inodes_ > maxInodes_) {
		throw Failure(FailureKind::kLimit, "entry " + Quote(entry) + ": the layer has more than " + std::to_string(maxInodes_) + " files");
	}
}

const OpenDirectory& Root::OpenParent(const std::string& path) {
	const std::string_view parent = ParentOf(path);
	if (stale_) {
		Leave();
		offered_ = {};
		stale_ = false;
	}
	if (parent_.fd.valid() && parent == parent_.path) return parent_;
	Leave();
	if (offered_.fd.valid() && parent == offered_.path) {
		parent_ = std::move(offered_);
		offered_ = {};
		return parent_;
	}
	parent_.path = parent;
	const char* name = parent.empty() ? "." : parent_.path.c_str();
	Fd fd(OpenInRoot(root_.get(), name, O_RDONLY | O_DIRECTORY));
	if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) {
		MakeParents(parent_.path, path);
		fd = Fd(OpenInRoot(root_.get(), name, O_RDONLY | O_DIRECTORY));
	}
	if (!fd.valid()) FailParent(path, errno);
	Enter(std::move(fd), path);
	return parent_;
}

void Root::Enter(Fd fd, const std::string& entry) {
	struct stat status {};
	if (fstat(fd.get(), &status) != 0) throw Failure("stat", errno, entry);
	parent_.fd = std::move(fd);
	parent_.mtime = status.st_mtim;
	parent_.setgid = (status.st_mode & S_ISGID) != 0;
}

void Root::Leave() {
	if (!parent_.fd.valid()) return;
	const struct timespec times[2] = {{0, UTIME_OMIT}, parent_.mtime};
	if (futimens(parent_.fd.get(), times) != 0) throw Failure("set modification time", errno, parent_.path);
	parent_.fd.Reset();
}

Fd Root::OpenRoot() {
	Leave();
	Fd fd(OpenInRoot(root_.get(), ".", O_RDONLY | O_DIRECTORY));
	if (!fd.valid()) throw Failure("open directory", errno, "");
	return fd;
}

Fd Root::OpenExistingParent(const std::string& path, const std::string& entry) const {
	const std::string parent(ParentOf(path));
	Fd fd(OpenInRoot(root_.get(), parent.empty() ? "." : parent.c_str(), kDirectory));
	if (fd.valid()) return fd;
	if (errno == ENOENT) CorruptEntry(entry, "it links to " + Quote(path) + ", which the layer does not have");
	FailParent(entry, errno);
}

void Root::MakeParents(const std::string& directory, const std::string& entry) {
	Fd above(OpenInRoot(root_.get(), ".", kDirectory));
	if (!above.valid()) FailParent(entry, errno);
	for (size_t end = 0; end != std::string::npos;) {
		end = directory.find('/', end + 1);
		const std::string prefix = directory.substr(0, end);
		Fd next(OpenInRoot(root_.get(), prefix.c_str(), kDirectory));
		if (!next.valid() && (errno == ENOENT || errno == ENOTDIR)) {
			MakeParent(above.get(), prefix, entry);
			next = Fd(OpenInRoot(root_.get(), prefix.c_str(), kDirectory));
		}
		if (!next.valid()) FailParent(entry, errno);
		above = std::move(next);
	}
}

// A directory that the archive has not named (yet): root's, 0755, of now.
void Root::MakeParent(int above, const std::string& prefix, const std::string& entry) {
	struct stat status {};
	if (fstat(above, &status) != 0) throw Failure("stat", errno, entry);
	const char* base = BaseOf(prefix);
	const Made made = MakeDirectory(above, base, 0755, entry, false);
	// Where a whiteout stood nothing is to be taken from below.
	if (made == Made::kNew && unnamed_.insert(prefix).second) unnamedBytes_ += prefix.size() + 1;
	if (unnamedBytes_ > kMaxUnnamedBytes) throw Failure(FailureKind::kLimit, "entry " + Quote(entry) + ": too many directories are not named by the layer");
	const Fd directory(openat(above, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!directory.valid()) throw Failure("make directory", errno, entry);
	// Without the group and setgid bit that it inherited.
	if ((status.st_mode & S_ISGID) != 0 && fchown(directory.get(), 0, 0) != 0) throw Failure("change owner", errno, entry);
	if (fchmod(directory.get(), 0755) != 0) throw Failure("change mode", errno, entry);
	if (made == Made::kNewOpaque) SetOpaque(directory.get(), entry);
	const struct timespec times[2] = {{0, UTIME_OMIT}, status.st_mtim};
	// `above` is an O_PATH descriptor, which futimens does not take.
	if (utimensat(above, ".", times, 0) != 0) throw Failure("set modification time", errno, entry);
}

Root::Made Root::MakeDirectory(int parent, const char* base, mode_t mode, const std::string& entry, bool replace) {
	Made made = Made::kNew;
	if (mkdirat(parent, base, mode) != 0) {
		if (errno != EEXIST) throw Failure("make directory", errno, entry);
		struct stat status {};
		if (fstatat(parent, base, &status, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("stat", errno, entry);
		if (S_ISDIR(status.st_mode)) return Made::kFound;
		if (IsWhiteout(status)) made = Made::kNewOpaque;
		else if (!replace) CorruptEntry(entry, Quote(base) + (S_ISLNK(status.st_mode) ? " is a symbolic link that leads to no directory" : " is not a directory"));
		RemoveExisting(parent, base, entry);
		if (mkdirat(parent, base, mode) != 0) throw Failure("make directory", errno, entry);
	}
	CountInode(entry);
	CountDisk(kDirectoryBytes);
	return made;
}

void Root::Forget(const struct stat& gone) {
	if (S_ISDIR(gone.st_mode)) {
		inodes_--;
		diskBytes_ -= kDirectoryBytes;
	} else if (gone.st_nlink == 1) {
		inodes_--;
		// Blocks may have come since it was counted (extents, xattrs).
		if (S_ISREG(gone.st_mode)) diskBytes_ -= std::min(diskBytes_, static_cast<uint64_t>(gone.st_blocks) * 512);
	}
}

void Root::RemoveExisting(int parent, const char* base, const std::string& entry) {
	struct stat status {};
	if (fstatat(parent, base, &status, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) return;
		throw Failure("stat", errno, entry);
	}
	if (S_ISDIR(status.st_mode)) {
		RemoveBelow(parent, base, entry, 0);
	} else {
		if (unlinkat(parent, base, 0) != 0) throw Failure("remove replaced entry", errno, entry);
	}
	Forget(status);
	// Directories that are open may have been reached through what is gone. The caller still writes to `parent`: it is left at the next one.
	if (!S_ISREG(status.st_mode)) stale_ = true;
}

void Root::RemoveBelow(int parent, const char* name, const std::string& entry, int depth) {
	if (depth > kMaxRemoveDepth) CorruptEntry(entry, "it replaces a directory tree more than 512 levels deep");
	const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) throw Failure("remove replaced entry", errno, entry);
	const auto closer = [](DIR* directory) { closedir(directory); };
	std::unique_ptr<DIR, decltype(closer)> directory(fdopendir(fd), closer);
	if (directory == nullptr) {
		close(fd);
		throw Failure("remove replaced entry", ENOMEM, entry);
	}
	while (const struct dirent* child = readdir(directory.get())) {
		if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0) continue;
		struct stat status {};
		if (fstatat(fd, child->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) throw Failure("remove replaced entry", errno, entry);
		if (S_ISDIR(status.st_mode)) {
			RemoveBelow(fd, child->d_name, entry, depth + 1);
		} else if (unlinkat(fd, child->d_name, 0) != 0) {
			throw Failure("remove replaced entry", errno, entry);
		}
		Forget(status);
	}
	if (unlinkat(parent, name, AT_REMOVEDIR) != 0) throw Failure("remove replaced entry", errno, entry);
}

}  // namespace berth::unpack
