#include "root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "failure.h"

namespace berth::unpack {
namespace {

constexpr uint64_t kDirectory = O_PATH | O_DIRECTORY | O_CLOEXEC;
// Symbolic links may nest directories deeper than any single path; the walk that removes them stays within the stack and the fd limit.
constexpr int kMaxRemoveDepth = 512;

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

std::string_view BaseOf(std::string_view path) {
	const size_t slash = path.rfind('/');
	return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool IsWhiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0); }

void SetOpaque(int directory, const std::string& entry) {
	if (fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) != 0) throw Failure("set trusted.overlay.opaque", errno, entry);
}

Root::Root(const std::string& targetDir, uint64_t maxInodes)
	: root_(open(targetDir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)), maxInodes_(maxInodes) {
	if (!root_.valid()) throw Failure("open target directory", errno, targetDir);
}

void Root::CountInode(const std::string& entry) {
	if (++inodes_ > maxInodes_) {
		throw Failure(FailureKind::kLimit, "entry " + Quote(entry) + ": the layer has more than " + std::to_string(maxInodes_) + " files");
	}
}

int Root::OpenParent(const std::string& path) {
	const std::string_view parent = ParentOf(path);
	if (parent.empty()) return root_.get();
	if (parent_.valid() && parent == parentPath_) return parent_.get();
	parent_.Reset();
	parentPath_ = parent;
	Fd fd(OpenInRoot(root_.get(), parentPath_.c_str(), O_RDONLY | O_DIRECTORY));
	if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) {
		MakeParents(parentPath_, path);
		fd = Fd(OpenInRoot(root_.get(), parentPath_.c_str(), O_RDONLY | O_DIRECTORY));
	}
	if (!fd.valid()) FailParent(path, errno);
	parent_ = std::move(fd);
	return parent_.get();
}

Fd Root::OpenExistingParent(const std::string& path, const std::string& entry) {
	const std::string parent(ParentOf(path));
	Fd fd(OpenInRoot(root_.get(), parent.empty() ? "." : parent.c_str(), kDirectory));
	if (fd.valid()) return fd;
	if (errno == ENOENT) CorruptEntry(entry, "it links to " + Quote(path) + ", which the layer does not have");
	FailParent(entry, errno);
}

Fd Root::OpenPath(const std::string& path, uint64_t flags) const {
	return Fd(OpenInRoot(root_.get(), path.empty() ? "." : path.c_str(), flags | O_NOFOLLOW));
}

void Root::MakeParents(const std::string& directory, const std::string& entry) {
	Fd above(OpenInRoot(root_.get(), ".", kDirectory));
	if (!above.valid()) FailParent(entry, errno);
	for (size_t end = 0; end != std::string::npos;) {
		end = directory.find('/', end + 1);
		const std::string prefix = directory.substr(0, end);
		Fd next(OpenInRoot(root_.get(), prefix.c_str(), kDirectory));
		if (!next.valid() && (errno == ENOENT || errno == ENOTDIR)) {
			MakeDirectory(above.get(), std::string(BaseOf(prefix)), entry);
			next = Fd(OpenInRoot(root_.get(), prefix.c_str(), kDirectory));
		}
		if (!next.valid()) FailParent(entry, errno);
		above = std::move(next);
	}
}

void Root::MakeDirectory(int parent, const std::string& base, const std::string& entry) {
	bool opaque = false;
	struct stat status {};
	if (fstatat(parent, base.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(status.st_mode)) return;
		if (!IsWhiteout(status)) CorruptEntry(entry, Quote(base) + (S_ISLNK(status.st_mode) ? " is a symbolic link that leads to no directory" : " is not a directory"));
		RemoveExisting(parent, base, entry);
		opaque = true;
	}
	CountInode(entry);
	CountDisk(kDirectoryBytes);
	// openat2 gave an O_PATH or a readable fd: both serve as a base.
	if (mkdirat(parent, base.c_str(), 0700) != 0) throw Failure("make directory", errno, entry);
	Fd made(openat(parent, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!made.valid() || fchmod(made.get(), 0755) != 0) throw Failure("make directory", errno, entry);
	if (opaque) SetOpaque(made.get(), entry);
}

void Root::Forget(const struct stat& gone) {
	if (S_ISDIR(gone.st_mode)) {
		inodes_--;
		diskBytes_ -= kDirectoryBytes;
	} else if (gone.st_nlink == 1) {
		inodes_--;
		if (S_ISREG(gone.st_mode)) diskBytes_ -= static_cast<uint64_t>(gone.st_blocks) * 512;
	}
}

void Root::RemoveExisting(int parent, const std::string& base, const std::string& entry) {
	struct stat status {};
	if (fstatat(parent, base.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) return;
		throw Failure("stat", errno, entry);
	}
	if (S_ISDIR(status.st_mode)) {
		RemoveBelow(parent, base.c_str(), entry, 0);
	} else {
		if (unlinkat(parent, base.c_str(), 0) != 0) throw Failure("remove replaced entry", errno, entry);
	}
	Forget(status);
	// A cached parent may have led through what is gone; `parent` itself may be it, so it is only renamed, not closed.
	if (!S_ISREG(status.st_mode)) parentPath_.clear();
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
