#pragma once
#include <cstdint>
#include <string>

#include "root.h"
#include "tar.h"

namespace berth::unpack {

struct TreeLimits {
	uint64_t maxBytes = 0;
	uint64_t maxInodes = 0;
};

// Writes the entries of one layer below a directory in overlay's form (whiteouts as 0/0 devices, opaque directories by xattr).
// Modes are right only with a umask of 0.
class TreeWriter final : public EntrySink {
public:
	TreeWriter(Fd root, const TreeLimits& limits) : root_(std::move(root), limits.maxInodes), limits_(limits) {}

	void Begin(const TarEntry& entry) override;
	void Data(const uint8_t* data, size_t size) override;
	void End() override;
	// After the last entry.
	void Finish() { root_.Leave(); }

	uint64_t diskBytes() const { return root_.diskBytes(); }
	uint64_t inodes() const { return root_.inodes(); }
	// The layer hides all of the lower ones. Overlay does not look at the mark on a layer's root: whoever stacks layers must.
	bool opaqueRoot() const { return opaqueRoot_; }
	const std::set<std::string>& unnamedDirectories() const { return root_.unnamed(); }
	bool rootNamed() const { return rootNamed_; }

private:
	bool HandleWhiteout(const TarEntry& entry);
	void MakeWhiteout(const OpenDirectory& parent, const char* base, const TarEntry& entry);
	void WriteDirectory(const TarEntry& entry);
	void WriteRoot(const TarEntry& entry);
	void StartFile(const TarEntry& entry);
	void WriteHardLink(const TarEntry& entry);
	void WriteSymlink(const TarEntry& entry);
	void WriteNode(const TarEntry& entry);
	void SetOwnerAndMode(int fd, const TarEntry& entry, bool known);
	void SetXattrs(int fd, const TarEntry& entry);
	template <typename Make> void Replacing(const OpenDirectory& parent, const TarEntry& entry, const char* stage, Make make);

	Root root_;
	const TreeLimits limits_;
	uint64_t entries_ = 0;
	const TarEntry* current_ = nullptr;
	Fd file_;
	// The file was made with the entry's owner and permission bits: nothing was inherited.
	bool fileKnown_ = false;
	// A directory of the layer hands access rules down to what is made in it, which the archive does not say of its entries.
	bool inheritsAcl_ = false;
	bool opaqueRoot_ = false;
	bool rootNamed_ = false;
};

}  // namespace berth::unpack
