#include "failure.h"

namespace berth::unpack {

std::string Quote(std::string_view name) {
	constexpr size_t kShownBytes = 200;
	static const char digits[] = "0123456789abcdef";
	std::string out = "\"";
	for (unsigned char byte : name.substr(0, kShownBytes)) {
		if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
			out += static_cast<char>(byte);
		} else {
			out += "\\x";
			out += digits[byte >> 4];
			out += digits[byte & 15];
		}
	}
	if (name.size() > kShownBytes) out += "…";
	return out + "\"";
}

void Corrupt(const std::string& message) { throw Failure(FailureKind::kCorrupt, message); }

void CorruptEntry(std::string_view entry, const std::string& why) {
	Corrupt("entry " + Quote(entry) + ": " + why);
}

}  // namespace berth::unpack
