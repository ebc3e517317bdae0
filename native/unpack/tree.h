#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "root.h"
#include "tar.h"

namespace berth::unpack {

// Writes the entries of one layer below a directory in overlay's form (whiteouts as 0/0 devices, opaque directories by xattr).
class TreeWriter final : public EntrySink {
public:
	TreeWriter(const std::string& targetDir, uint64_t maxInodes) : root_(targetDir, maxInodes), maxEntries_(maxInodes) {}

	void Begin(const TarEntry& entry) override;
	void Data(const uint8_t* data, size_t size) override;
	void End() override;
	// After the last entry: the modification times of directories, which every entry below them changed.
	void Finish();

	uint64_t diskBytes() const { return root_.diskBytes(); }
	uint64_t inodes() const { return root_.inodes(); }

private:
	struct DirectoryTime {
		std::string path;
		int64_t seconds;
		uint32_t ns;
	};

	bool HandleWhiteout(const TarEntry& entry);
	void MakeWhiteout(int parent, const std::string& base, const TarEntry& entry);
	void WriteDirectory(const TarEntry& entry);
	void StartFile(const TarEntry& entry);
	void WriteHardLink(const TarEntry& entry);
	void WriteSymlink(const TarEntry& entry);
	void WriteNode(const TarEntry& entry);
	void SetOpenAttributes(int fd, const TarEntry& entry);
	void SetXattrs(int fd, const TarEntry& entry);

	Root root_;
	const uint64_t maxEntries_;
	uint64_t entries_ = 0;
	TarEntry current_;
	Fd file_;
	std::vector<DirectoryTime> directoryTimes_;
};

}  // namespace berth::unpack
