#include <climits>

#include "failure.h"
#include "tar.h"

namespace berth::unpack {
namespace {

// Deeper than anything that builds; keeps walks over a hostile tree short.
constexpr int kMaxDepth = 256;

}  // namespace

std::string CleanPath(std::string_view raw) {
	if (raw.find('\0') != std::string_view::npos) CorruptEntry(raw, "the name contains a NUL byte");
	std::string clean;
	int depth = 0;
	for (size_t start = 0; start <= raw.size();) {
		size_t end = raw.find('/', start);
		if (end == std::string_view::npos) end = raw.size();
		const std::string_view part = raw.substr(start, end - start);
		start = end + 1;
		if (part.empty() || part == ".") continue;
		if (part == "..") CorruptEntry(raw, "the name contains \"..\"");
		if (part.size() > NAME_MAX) CorruptEntry(raw, "a component is longer than 255 bytes");
		if (++depth > kMaxDepth) CorruptEntry(raw, "the path is more than 256 directories deep");
		if (!clean.empty()) clean += '/';
		clean += part;
		if (clean.size() >= PATH_MAX) CorruptEntry(raw, "the path is longer than 4095 bytes");
	}
	return clean;
}

}  // namespace berth::unpack
