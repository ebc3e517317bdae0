#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "fd.h"

namespace berth::unpack {

// The target directory as the only root there is: no path given here can lead out of it, whatever links the archive made
// (openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). Counts what is made and removed.
class Root {
public:
	Root(const std::string& targetDir, uint64_t maxInodes);

	// The directory that holds `path`'s last component; missing ones are made (0755). Valid until the next call.
	int OpenParent(const std::string& path);
	// As OpenParent, for something that must exist already (the target of a hard link).
	Fd OpenExistingParent(const std::string& path, const std::string& entry);
	// Any existing path without following its last component; not valid when it is missing or leads through a non-directory.
	Fd OpenPath(const std::string& path, uint64_t flags) const;
	// Makes a directory, or finds it. Where a whiteout stood, the new directory is opaque: it hides lower layers' content as the whiteout did.
	void MakeDirectory(int parent, const std::string& base, const std::string& entry);
	// Removes what a later entry of the same layer replaces, with all below it.
	void RemoveExisting(int parent, const std::string& base, const std::string& entry);

	void CountInode(const std::string& entry);
	void CountDisk(uint64_t bytes) { diskBytes_ += bytes; }
	int fd() const { return root_.get(); }
	uint64_t diskBytes() const { return diskBytes_; }
	uint64_t inodes() const { return inodes_; }

	static constexpr uint64_t kDirectoryBytes = 4096;

private:
	void MakeParents(const std::string& directory, const std::string& entry);
	void RemoveBelow(int parent, const char* name, const std::string& entry, int depth);
	void Forget(const struct stat& gone);

	Fd root_;
	const uint64_t maxInodes_;
	uint64_t inodes_ = 1;  // the root directory
	uint64_t diskBytes_ = kDirectoryBytes;
	std::string parentPath_;  // of parent_; archives list a directory's entries together
	Fd parent_;
};

std::string_view ParentOf(std::string_view path);
std::string_view BaseOf(std::string_view path);
bool IsWhiteout(const struct stat& status);
// trusted.overlay.opaque=y (kernel doc filesystems/overlayfs, "whiteouts and opaque directories").
void SetOpaque(int directory, const std::string& entry);

}  // namespace berth::unpack
