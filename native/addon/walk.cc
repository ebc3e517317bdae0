#include "walk.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/syscall.h>

namespace berth {

namespace {

// linux/openat2.h
constexpr uint64_t kResolveNoXdev = 0x01;
constexpr uint64_t kResolveNoMagiclinks = 0x02;
constexpr uint64_t kResolveNoSymlinks = 0x04;
constexpr uint64_t kResolveBeneath = 0x08;
struct OpenHow {
	uint64_t flags, mode, resolve;
};

// A directory of the same mount right in `dir`. EXDEV: a mount point.
int OpenChild(int dir, const char* name) {
	const OpenHow how = {O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0,
		kResolveNoXdev | kResolveNoMagiclinks | kResolveNoSymlinks | kResolveBeneath};
	for (int tries = 0;; tries++) {
		const int fd = static_cast<int>(syscall(SYS_openat2, dir, name, &how, sizeof how));
		// EAGAIN: a rename somewhere raced with the lookup.
		if (fd >= 0 || errno != EAGAIN || tries == 64) return fd;
	}
}

struct CloseDir {
	void operator()(DIR* dir) const { closedir(dir); }
};

bool IsDirectory(int dir, const dirent& entry) {
	if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
	struct stat status;
	return fstatat(dir, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

void Walk::Note(const std::string& stage, int error, const std::string& name) {
	if (!first_) first_ = Failure{stage, error, PathOf(name)};
}

std::string Walk::PathOf(const std::string& name) const {
	std::string path = top_;
	for (size_t i = 1; i < levels_.size(); i++) path += "/" + levels_[i].name;
	// A tree made to be deep must not make a message of megabytes.
	if (path.size() > 1024) path.resize(1024);
	return path + "/" + name;
}

void Walk::Enter(std::string name) {
	struct stat status;
	if (fstat(fd_.get(), &status) != 0) Fail("stat directory", PathOf(name));
	levels_.push_back({std::move(name), status.st_dev, status.st_ino, {}});
	const int copy = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	std::unique_ptr<DIR, CloseDir> dir(copy < 0 ? nullptr : fdopendir(copy));
	if (dir == nullptr) return Note("read directory", errno, "");
	for (;;) {
		errno = 0;
		const dirent* entry = readdir(dir.get());
		if (entry == nullptr) break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		entries_++;
		if (IsDirectory(fd_.get(), *entry)) levels_.back().directories.emplace_back(entry->d_name);
		else OnFile(fd_.get(), entry->d_name);
	}
	if (errno != 0) Note("read directory", errno, "");
}

void Walk::Descend(const std::string& name) {
	Fd child(OpenChild(fd_.get(), name.c_str()));
	if (child.valid()) {
		fd_ = std::move(child);
		return Enter(name);
	}
	if (errno == ENOENT) return;
	Note(errno == EXDEV ? "cross mount point" : "open directory", errno == EXDEV ? EBUSY : errno, name);
}

void Walk::Leave() {
	const std::string name = std::move(levels_.back().name);
	levels_.pop_back();
	entries_++;
	const Level& parent = levels_.back();
	Fd above(openat(fd_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!above.valid()) Fail("return to directory above", PathOf(name));
	struct stat status;
	if (fstat(above.get(), &status) != 0) Fail("stat directory", PathOf(name));
	if (status.st_dev == parent.device && status.st_ino == parent.inode) fd_ = std::move(above);
	else return FindAgain(name);
	OnDirectory(fd_.get(), name.c_str());
}

// One way down: whoever moves directories again and again in a deep tree must not make this a walk from the top for each level.
void Walk::FindAgain(const std::string& moved) {
	Note("directory was moved during the walk", ESTALE, moved);
	Fd fd(open(top_.empty() ? "/" : top_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	size_t found = 0;
	struct stat status;
	while (fd.valid() && fstat(fd.get(), &status) == 0 && status.st_dev == levels_[found].device && status.st_ino == levels_[found].inode) {
		fd_ = std::move(fd);
		entries_++;
		if (++found == levels_.size()) break;
		fd.Reset(OpenChild(fd_.get(), levels_[found].name.c_str()));
	}
	// The top itself is gone: nothing is left to walk.
	levels_.resize(std::max<size_t>(found, 1));
}

void Walk::Run(const std::string& path) {
	Start(path);
	while (!Step(SIZE_MAX)) continue;
	if (first_) throw *first_;
}

void Walk::Start(const std::string& path) {
	const size_t end = path.find_last_not_of('/');
	if (end == std::string::npos) throw Failure{"walk", EINVAL, path};
	const size_t slash = path.rfind('/', end);
	const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1, end - (slash == std::string::npos ? 0 : slash + 1) + 1);
	top_ = slash == std::string::npos ? "." : path.substr(0, slash);
	if (name == "." || name == "..") throw Failure{"walk", EINVAL, path};
	fd_.Reset(open(top_.empty() ? "/" : top_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!fd_.valid()) {
		if (errno == ENOENT) return;
		Fail("open directory", top_);
	}
	struct stat parent, status;
	if (fstat(fd_.get(), &parent) != 0) Fail("stat directory", top_);
	if (fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) return;
		Fail("stat", path);
	}
	levels_.push_back({"", parent.st_dev, parent.st_ino, {}});
	if (S_ISDIR(status.st_mode)) Descend(name);
	else OnFile(fd_.get(), name.c_str());
}

bool Walk::Step(size_t entries) {
	entries_ = 0;
	while (levels_.size() > 1) {
		if (entries_ >= entries) return false;
		std::vector<std::string>& directories = levels_.back().directories;
		if (directories.empty()) {
			Leave();
			continue;
		}
		const std::string next = std::move(directories.back());
		directories.pop_back();
		Descend(next);
	}
	return true;
}

}  // namespace berth
