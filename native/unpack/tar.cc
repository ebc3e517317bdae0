#include "tar.h"

#include <algorithm>
#include <cstring>

#include "failure.h"

namespace berth::unpack {
namespace {

// Offsets and lengths of the ustar header (POSIX.1-2017 pax, "ustar Header Block").
struct Field {
	size_t offset, length;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12}, kChecksum{148, 8}, kLink{157, 100}, kMajor{329, 8}, kMinor{337, 8},
	kPrefix{345, 155};
constexpr size_t kTypeflag = 156, kMagic = 257, kStarTrailer = 508;
constexpr uint64_t kMaxMetaBytes = 1 << 20;
constexpr uint64_t kMaxId = 0xfffffffe;

using Block = std::array<uint8_t, 512>;

std::string_view Text(const Block& block, Field field) {
	const char* start = reinterpret_cast<const char*>(block.data()) + field.offset;
	return {start, strnlen(start, field.length)};
}

// Octal text, or base-256 when the first bit is set (a GNU extension for numbers that do not fit).
int64_t Number(const Block& block, Field field, const char* what) {
	const uint8_t* bytes = block.data() + field.offset;
	if (bytes[0] & 0x80) {
		const bool negative = (bytes[0] & 0x40) != 0;
		uint64_t value = negative ? ~uint64_t{0} : 0;
		for (size_t i = 0; i < field.length; i++) {
			const uint8_t byte = i == 0 ? static_cast<uint8_t>(negative ? bytes[0] : bytes[0] & 0x7f) : bytes[i];
			const uint8_t sign = negative ? 0xff : 0;
			if (i + 8 < field.length && byte != sign) Corrupt(std::string("a header's ") + what + " is out of range");
			value = value << 8 | byte;
		}
		if (((value >> 63) != 0) != negative) Corrupt(std::string("a header's ") + what + " is out of range");
		return static_cast<int64_t>(value);
	}
	size_t i = 0;
	while (i < field.length && (bytes[i] == ' ' || bytes[i] == 0)) i++;
	int64_t value = 0;
	for (; i < field.length && bytes[i] != ' ' && bytes[i] != 0; i++) {
		if (bytes[i] < '0' || bytes[i] > '7') Corrupt(std::string("a header's ") + what + " is not an octal number");
		value = value * 8 + (bytes[i] - '0');
	}
	return value;
}

template <class Byte> int64_t Sum(const Block& block) {
	int64_t sum = 0;
	for (const uint8_t byte : block) sum += static_cast<Byte>(byte);
	// The checksum's own field counts as spaces.
	for (size_t i = kChecksum.offset; i < kChecksum.offset + kChecksum.length; i++) sum += ' ' - static_cast<Byte>(block[i]);
	return sum;
}

void CheckChecksum(const Block& block) {
	const int64_t stored = Number(block, kChecksum, "checksum");
	// Some old writers summed signed chars.
	if (stored != Sum<uint8_t>(block) && stored != Sum<int8_t>(block)) Corrupt("a tar header has a wrong checksum: the layer is not a tar archive or is damaged");
}

uint32_t Id(uint64_t value, const std::string& path, const char* what) {
	if (value > kMaxId) CorruptEntry(path, std::string(what) + " is out of range");
	return static_cast<uint32_t>(value);
}

// The text of a GNU long name: NUL-terminated; a NUL before that would hide a part of the name.
std::string LongName(const std::string& text) {
	const size_t end = text.find('\0');
	if (end == std::string::npos) return text;
	if (text.find_first_not_of('\0', end) != std::string::npos) CorruptEntry(text, "the name contains a NUL byte");
	return text.substr(0, end);
}

EntryType TypeOf(char typeflag, const std::string& rawPath) {
	switch (typeflag) {
		case '0':
		case '7':
			return EntryType::kFile;
		case '\0':  // before ustar a directory was a file with a slash at the end
			return !rawPath.empty() && rawPath.back() == '/' ? EntryType::kDirectory : EntryType::kFile;
		case '1':
			return EntryType::kHardLink;
		case '2':
			return EntryType::kSymlink;
		case '3':
			return EntryType::kCharDevice;
		case '4':
			return EntryType::kBlockDevice;
		case '5':
			return EntryType::kDirectory;
		case '6':
			return EntryType::kFifo;
		case 'S':
			CorruptEntry(rawPath, "sparse files are not supported");
		default:
			CorruptEntry(rawPath, "unknown entry type " + Quote(std::string(1, typeflag)));
	}
}

}  // namespace

void TarReader::Feed(const uint8_t* data, size_t size) {
	while (size > 0) {
		size_t used = 0;
		switch (state_) {
			case State::kHeader:
				used = FeedHeader(data, size);
				break;
			case State::kMeta:
				used = FeedMeta(data, size);
				break;
			case State::kData:
				used = FeedData(data, size);
				break;
			case State::kPadding:
				used = std::min(size, padding_);
				padding_ -= used;
				if (padding_ == 0) state_ = State::kHeader;
				break;
			case State::kEnd:  // what follows the end mark is padding; the digest covers it
				return;
		}
		data += used;
		size -= used;
	}
}

void TarReader::Finish() {
	if (state_ == State::kEnd) return;
	if (state_ != State::kHeader || blockFill_ > 0) Corrupt("the archive is truncated: it ends in the middle of an entry");
	if (pendingMeta_) Corrupt("the archive is truncated: it ends after an extended header");
}

size_t TarReader::FeedHeader(const uint8_t* data, size_t size) {
	const size_t used = std::min(size, kBlockBytes - blockFill_);
	memcpy(block_.data() + blockFill_, data, used);
	blockFill_ += used;
	if (blockFill_ < kBlockBytes) return used;
	blockFill_ = 0;
	if (block_[0] == 0 && std::all_of(block_.begin(), block_.end(), [](uint8_t byte) { return byte == 0; })) {
		if (pendingMeta_) Corrupt("the archive ends after an extended header");
		if (++zeroBlocks_ == 2) state_ = State::kEnd;
		return used;
	}
	if (zeroBlocks_ > 0) Corrupt("the archive has an entry after an end mark");
	ParseHeader();
	return used;
}

size_t TarReader::FeedMeta(const uint8_t* data, size_t size) {
	const size_t used = static_cast<size_t>(std::min<uint64_t>(size, remaining_));
	metaText_.append(reinterpret_cast<const char*>(data), used);
	remaining_ -= used;
	if (remaining_ == 0) ApplyMeta();
	return used;
}

size_t TarReader::FeedData(const uint8_t* data, size_t size) {
	const size_t used = static_cast<size_t>(std::min<uint64_t>(size, remaining_));
	sink_.Data(data, used);
	remaining_ -= used;
	if (remaining_ == 0) {
		sink_.End();
		AfterData(entrySize_);
	}
	return used;
}

void TarReader::AfterData(uint64_t size) {
	padding_ = static_cast<size_t>((kBlockBytes - size % kBlockBytes) % kBlockBytes);
	state_ = padding_ == 0 ? State::kHeader : State::kPadding;
}

void TarReader::ParseHeader() {
	CheckChecksum(block_);
	const char typeflag = static_cast<char>(block_[kTypeflag]);
	const int64_t size = Number(block_, kSize, "size");
	if (size < 0) CorruptEntry(HeaderPath(), "the size is negative");
	switch (typeflag) {
		case 'x':
			return StartMeta(Meta::kPax, static_cast<uint64_t>(size));
		case 'g':
			return StartMeta(Meta::kPaxGlobal, static_cast<uint64_t>(size));
		case 'L':
			return StartMeta(Meta::kLongName, static_cast<uint64_t>(size));
		case 'K':
			return StartMeta(Meta::kLongLink, static_cast<uint64_t>(size));
		default:
			return StartEntry(typeflag, static_cast<uint64_t>(size));
	}
}

void TarReader::StartMeta(Meta meta, uint64_t size) {
	if (size > kMaxMetaBytes) Corrupt("an extended header is larger than 1 MiB");
	meta_ = meta;
	metaText_.clear();
	remaining_ = entrySize_ = size;
	if (meta != Meta::kPaxGlobal) pendingMeta_ = true;
	state_ = State::kMeta;
	if (size == 0) ApplyMeta();
}

void TarReader::ApplyMeta() {
	switch (meta_) {
		case Meta::kPax:
			pax_ = ParsePax(metaText_);
			break;
		case Meta::kPaxGlobal:  // comments of the archiver ("git archive"): checked, not used
			ParsePax(metaText_);
			break;
		case Meta::kLongName:
			longName_ = LongName(metaText_);
			hasLongName_ = true;
			break;
		case Meta::kLongLink:
			longLink_ = LongName(metaText_);
			hasLongLink_ = true;
			break;
	}
	AfterData(entrySize_);
}

// GNU archives ("ustar  ") use the prefix field for other things, and star's prefix is shorter.
std::string TarReader::HeaderPath() const {
	const std::string_view name = Text(block_, kName);
	if (memcmp(block_.data() + kMagic, "ustar\0", 6) != 0) return std::string(name);
	const bool star = memcmp(block_.data() + kStarTrailer, "tar\0", 4) == 0;
	const std::string_view prefix = Text(block_, {kPrefix.offset, star ? size_t{131} : kPrefix.length});
	if (prefix.empty()) return std::string(name);
	return std::string(prefix) + "/" + std::string(name);
}

void TarReader::StartEntry(char typeflag, uint64_t size) {
	const std::string rawPath = pax_.hasPath ? pax_.path : hasLongName_ ? longName_ : HeaderPath();
	const std::string rawLink = pax_.hasLink ? pax_.link : hasLongLink_ ? longLink_ : std::string(Text(block_, kLink));
	entry_ = {};
	TarEntry& entry = entry_;
	entry.type = TypeOf(typeflag, rawPath);
	entry.path = CleanPath(rawPath);
	entry.link = entry.type == EntryType::kHardLink ? CleanPath(rawLink) : rawLink;
	entry.mode = static_cast<uint32_t>(Number(block_, kMode, "mode")) & 07777;
	entry.uid = Id(pax_.hasUid ? pax_.uid : static_cast<uint64_t>(Number(block_, kUid, "uid")), rawPath, "uid");
	entry.gid = Id(pax_.hasGid ? pax_.gid : static_cast<uint64_t>(Number(block_, kGid, "gid")), rawPath, "gid");
	entry.mtimeSeconds = pax_.hasMtime ? pax_.mtimeSeconds : Number(block_, kMtime, "mtime");
	entry.mtimeNs = pax_.hasMtime ? pax_.mtimeNs : 0;
	if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice) {
		const int64_t major = Number(block_, kMajor, "device major"), minor = Number(block_, kMinor, "device minor");
		if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) CorruptEntry(rawPath, "the device number is out of range");
		entry.major = static_cast<uint32_t>(major);
		entry.minor = static_cast<uint32_t>(minor);
	}
	// Only files have data; other types' size fields are ignored, as every tar does.
	entry.size = entry.type != EntryType::kFile ? 0 : pax_.hasSize ? pax_.size : size;
	if (entry.size > INT64_MAX) CorruptEntry(rawPath, "the size is out of range");
	entry.xattrs = std::move(pax_.xattrs);
	pax_ = {};
	hasLongName_ = hasLongLink_ = pendingMeta_ = false;
	sink_.Begin(entry);
	remaining_ = entrySize_ = entry.size;
	state_ = State::kData;
	if (entry.size > 0) return;
	sink_.End();
	AfterData(0);
}

}  // namespace berth::unpack
