#include <charconv>

#include "failure.h"
#include "tar.h"

namespace berth::unpack {
namespace {

uint64_t ParseDecimal(std::string_view key, std::string_view text) {
	uint64_t value = 0;
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
	if (error != std::errc() || end != text.data() + text.size()) {
		Corrupt("PAX record " + Quote(key) + ": " + Quote(text) + " is not a decimal number");
	}
	return value;
}

// "1700000000.123456789", possibly negative, any number of fraction digits.
void ParseTime(std::string_view text, PaxRecords& records) {
	const size_t dot = text.find('.');
	const std::string_view whole = text.substr(0, dot);
	int64_t seconds = 0;
	const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
	if (error != std::errc() || end != whole.data() + whole.size()) Corrupt("PAX record \"mtime\": " + Quote(text) + " is not a time");
	uint32_t ns = 0;
	uint32_t scale = 100'000'000;
	const std::string_view fraction = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
	for (char digit : fraction) {
		if (digit < '0' || digit > '9') Corrupt("PAX record \"mtime\": " + Quote(text) + " is not a time");
		ns += static_cast<uint32_t>(digit - '0') * scale;
		scale /= 10;
	}
	// -1.25 is one and a quarter second before the epoch; timespec wants -2 s + 0.75 s.
	if (!text.empty() && text[0] == '-' && ns > 0) {
		if (seconds == INT64_MIN) Corrupt("PAX record \"mtime\" is out of range");
		seconds -= 1;
		ns = 1'000'000'000 - ns;
	}
	records.mtimeSeconds = seconds;
	records.mtimeNs = ns;
	records.hasMtime = true;
}

void Apply(std::string_view key, std::string_view value, PaxRecords& records) {
	constexpr std::string_view kXattr = "SCHILY.xattr.";
	if (key.starts_with("GNU.sparse.")) Corrupt("sparse files are not supported (PAX record " + Quote(key) + ")");
	if (key.starts_with(kXattr)) {
		const std::string_view name = key.substr(kXattr.size());
		if (name.find('\0') != std::string_view::npos) Corrupt("PAX record " + Quote(key) + " contains a NUL byte");
		records.xattrs.emplace_back(name, value);
		return;
	}
	// An empty value withdraws the record: the header's own field holds again.
	if (key == "path") {
		records.hasPath = !value.empty();
		records.path = value;
	} else if (key == "linkpath") {
		records.hasLink = !value.empty();
		records.link = value;
	} else if (key == "size") {
		records.hasSize = !value.empty();
		if (records.hasSize) records.size = ParseDecimal(key, value);
	} else if (key == "uid") {
		records.hasUid = !value.empty();
		if (records.hasUid) records.uid = ParseDecimal(key, value);
	} else if (key == "gid") {
		records.hasGid = !value.empty();
		if (records.hasGid) records.gid = ParseDecimal(key, value);
	} else if (key == "mtime") {
		records.hasMtime = false;
		if (!value.empty()) ParseTime(value, records);
	}
}

}  // namespace

// Records are "<length> <key>=<value>\n"; the length counts the whole record, so values may hold any byte.
PaxRecords ParsePax(std::string_view text) {
	PaxRecords records;
	while (!text.empty()) {
		// Some writers pad the header with NULs.
		if (text[0] == '\0') break;
		size_t length = 0;
		const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
		const size_t digits = static_cast<size_t>(end - text.data());
		if (error != std::errc() || digits >= text.size() || *end != ' ' || length <= digits + 1 || length > text.size() || text[length - 1] != '\n') {
			Corrupt("an extended header has a record of wrong length");
		}
		const std::string_view record = text.substr(digits + 1, length - digits - 2);
		const size_t equals = record.find('=');
		if (equals == std::string_view::npos || equals == 0) Corrupt("an extended header has a record without a key");
		Apply(record.substr(0, equals), record.substr(equals + 1), records);
		text.remove_prefix(length);
	}
	return records;
}

}  // namespace berth::unpack
