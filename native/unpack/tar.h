#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::unpack {

enum class EntryType { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct TarEntry {
	EntryType type = EntryType::kFile;
	std::string path;  // relative, no "." or ".." components; "" is the root itself
	std::string link;  // of a hard link: as `path`; of a symbolic link: as it stands in the archive
	uint32_t mode = 0;  // permission bits with setuid, setgid, sticky
	uint32_t uid = 0;
	uint32_t gid = 0;
	uint32_t major = 0;
	uint32_t minor = 0;
	uint64_t size = 0;
	int64_t mtimeSeconds = 0;
	uint32_t mtimeNs = 0;
	std::vector<std::pair<std::string, std::string>> xattrs;
};

// Receives the archive's entries in order. May throw Failure.
class EntrySink {
public:
	virtual ~EntrySink() = default;
	// The entry is there until End() returned.
	virtual void Begin(const TarEntry& entry) = 0;
	virtual void Data(const uint8_t* data, size_t size) = 0;
	virtual void End() = 0;
};

// PAX extended header records that were given for the next entry (POSIX.1-2017 pax, "pax Header Block").
struct PaxRecords {
	bool hasPath = false, hasLink = false, hasSize = false, hasMtime = false, hasUid = false, hasGid = false;
	std::string path, link;
	uint64_t size = 0, uid = 0, gid = 0;
	int64_t mtimeSeconds = 0;
	uint32_t mtimeNs = 0;
	std::vector<std::pair<std::string, std::string>> xattrs;
};
PaxRecords ParsePax(std::string_view text);

// Drops leading and double slashes and "."; refuses "..", NUL, components over 255 bytes, paths over 4095 bytes or 256 deep.
std::string CleanPath(std::string_view raw);

// Incremental parser for ustar, PAX and GNU archives: bytes may come in pieces of any size. Memory: one block and one extended header (1 MiB at most).
class TarReader {
public:
	explicit TarReader(EntrySink& sink) : sink_(sink) {}
	void Feed(const uint8_t* data, size_t size);
	// The stream ended. Throws Corrupt when an entry is not whole.
	void Finish();

private:
	static constexpr size_t kBlockBytes = 512;
	enum class State { kHeader, kMeta, kData, kPadding, kEnd };
	enum class Meta { kPax, kPaxGlobal, kLongName, kLongLink };

	size_t FeedHeader(const uint8_t* data, size_t size);
	size_t FeedMeta(const uint8_t* data, size_t size);
	size_t FeedData(const uint8_t* data, size_t size);
	void ParseHeader();
	void StartMeta(Meta meta, uint64_t size);
	void ApplyMeta();
	void StartEntry(char typeflag, uint64_t size);
	void AfterData(uint64_t size);
	std::string HeaderPath() const;

	EntrySink& sink_;
	State state_ = State::kHeader;
	std::array<uint8_t, kBlockBytes> block_{};
	size_t blockFill_ = 0;
	int zeroBlocks_ = 0;
	Meta meta_ = Meta::kPax;
	std::string metaText_;
	uint64_t remaining_ = 0;
	uint64_t entrySize_ = 0;
	size_t padding_ = 0;
	PaxRecords pax_;
	TarEntry entry_;
	bool hasLongName_ = false, hasLongLink_ = false, pendingMeta_ = false;
	std::string longName_, longLink_;
};

}  // namespace berth::unpack
