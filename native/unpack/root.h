#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "fd.h"

namespace berth::unpack {

// A directory that is open to be written to. Its modification time is restored when it is left: entries below it must not change what the archive says of it.
struct OpenDirectory {
	std::string path;
	Fd fd;
	struct timespec mtime {};
	// New files in it would get its group (and directories its setgid bit) instead of the thread's.
	bool setgid = false;
};

// The target directory as the only root there is: no path given here can lead out of it, whatever links the archive made
// (openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). Counts what is made and removed.
class Root {
public:
	Root(Fd root, uint64_t maxInodes) : root_(std::move(root)), maxInodes_(maxInodes) {}

	// The directory that holds `path`'s last component; missing ones are made (0755). Valid until the next call.
	const OpenDirectory& OpenParent(const std::string& path);
	// As OpenParent, for something that must exist already (the target of a hard link).
	Fd OpenExistingParent(const std::string& path, const std::string& entry) const;
	// The target directory itself; no other one is open then.
	Fd OpenRoot();
	// A directory that was made a moment ago and is probably the next one to be written to.
	void Offer(OpenDirectory directory) { offered_ = std::move(directory); }
	// After the last entry.
	void Leave();

	enum class Made { kFound, kNew, kNewOpaque };
	// Makes a directory, or finds it. kNewOpaque: where a whiteout stood, the new directory must hide lower layers' content as the whiteout did.
	// What else is in the way is removed if `replace`, else Corrupt.
	Made MakeDirectory(int parent, const char* base, mode_t mode, const std::string& entry, bool replace);
	// Removes what a later entry of the same layer replaces, with all below it.
	void RemoveExisting(int parent, const char* base, const std::string& entry);

	void CountInode(const std::string& entry);
	void UncountInode() { inodes_--; }
	void CountDisk(uint64_t bytes) { diskBytes_ += bytes; }
	uint64_t diskBytes() const { return diskBytes_; }
	uint64_t inodes() const { return inodes_; }
	// Directories that were made for what lies in them and that no entry named: what they look like is for the layers below to say. Sorted: parents first.
	const std::set<std::string>& unnamed() const { return unnamed_; }
	// An entry names it after all.
	void Named(const std::string& path) { unnamedBytes_ -= unnamed_.erase(path) * (path.size() + 1); }

	static constexpr uint64_t kDirectoryBytes = 4096;

private:
	void Enter(Fd fd, const std::string& entry);
	void MakeParents(const std::string& directory, const std::string& entry);
	void MakeParent(int above, const std::string& prefix, const std::string& entry);
	void RemoveBelow(int parent, const char* name, const std::string& entry, int depth);
	void Forget(const struct stat& gone);

	Fd root_;
	const uint64_t maxInodes_;
	uint64_t inodes_ = 1;  // the root directory
	uint64_t diskBytes_ = kDirectoryBytes;
	OpenDirectory parent_;  // archives list a directory's entries together
	OpenDirectory offered_;
	std::set<std::string> unnamed_;
	size_t unnamedBytes_ = 0;
	// Something was removed through which the paths of the two may have led.
	bool stale_ = false;
};

// "a/b" → "a"; "a" → "".
std::string_view ParentOf(std::string_view path);
// "a/b" → "b". Points into `path`.
const char* BaseOf(const std::string& path);
bool IsWhiteout(const struct stat& status);
// trusted.overlay.opaque=y (kernel doc filesystems/overlayfs, "whiteouts and opaque directories").
void SetOpaque(int directory, const std::string& entry);

}  // namespace berth::unpack
