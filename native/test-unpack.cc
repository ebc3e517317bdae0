// The unpacker without Node, under the sanitizers, over archives from a seeded generator: entries whose names and links collide and lead everywhere,
// then bytes and blocks changed at random. Whatever an archive says, nothing outside of the target may change, and what was made must be what was counted.
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "unpack/failure.h"
#include "unpack/layer.h"
#include "unpack/tar.h"
#include "unpack/tree.h"

using namespace berth::unpack;

namespace {

constexpr unsigned kCases = 1500;
constexpr size_t kBlock = 512;

class Random {
public:
	explicit Random(unsigned seed) : engine_(seed) {}
	size_t Below(size_t limit) { return engine_() % limit; }
	bool Chance(unsigned percent) { return Below(100) < percent; }
	template <size_t N> const char* Pick(const char* const (&from)[N]) { return from[Below(N)]; }

private:
	std::minstd_rand engine_;
};

void Octal(char* field, size_t length, unsigned long value) { snprintf(field, length, "%0*lo", static_cast<int>(length - 1), value); }

void SetChecksum(char* header) {
	memset(header + 148, ' ', 8);
	unsigned sum = 0;
	for (size_t i = 0; i < kBlock; i++) sum += static_cast<unsigned char>(header[i]);
	snprintf(header + 148, 8, "%06o", sum & 0777777);
}

std::string Header(const std::string& name, char type, const std::string& link, size_t size, Random& random) {
	std::string header(kBlock, '\0');
	memcpy(header.data(), name.data(), std::min<size_t>(name.size(), 100));
	Octal(header.data() + 100, 8, random.Below(010000));
	Octal(header.data() + 108, 8, random.Below(3));
	Octal(header.data() + 116, 8, random.Below(3));
	Octal(header.data() + 124, 12, size);
	Octal(header.data() + 136, 12, random.Below(2000000000));
	header[156] = type;
	memcpy(header.data() + 157, link.data(), std::min<size_t>(link.size(), 100));
	memcpy(header.data() + 257, random.Chance(80) ? "ustar\00000" : "ustar  ", 8);
	if (type == '3' || type == '4') {
		Octal(header.data() + 329, 8, random.Below(3));
		Octal(header.data() + 337, 8, random.Below(3));
	}
	SetChecksum(header.data());
	return header;
}

std::string Padded(std::string text) {
	text.resize((text.size() + kBlock - 1) / kBlock * kBlock);
	return text;
}

std::string Name(Random& random) {
	static const char* const above[] = {"a/", "b/", "c/", "l/", "a/b/", "./", "/"};
	static const char* const last[] = {"a", "b", "c", "l", "victim", "fs", "a/", ".wh.a", ".wh.b", ".wh.l", ".wh..wh..opq", ".wh..wh.x"};
	// A refusal ends the case: the names that are refused are rare.
	static const char* const refused[] = {"", ".", "..", "../victim", "a/../../victim", ".wh.a/b", ".wh."};
	if (random.Chance(1)) return random.Pick(refused);
	std::string name;
	for (size_t depth = random.Below(4); depth > 0; depth--) name += random.Pick(above);
	return name + random.Pick(last);
}

std::string Link(Random& random) {
	static const char* const links[] = {"..", "../..", "../victim", "/", "/..", ".", "a", "a/b", "l", "/a/../..", "/proc/self/root", "/proc/self/fd/3"};
	return random.Chance(60) ? random.Pick(links) : Name(random);
}

std::string Record(const std::string& text) {
	size_t length = text.size() + 3;
	while (std::to_string(length).size() + text.size() + 2 != length) length++;
	return std::to_string(length) + " " + text + "\n";
}

std::string Pax(Random& random) {
	static const char* const records[] = {"path=a/b", "path=l/victim", "linkpath=../../", "linkpath=a", "size=1", "mtime=-1.5", "SCHILY.xattr.user.a=b", "SCHILY.xattr.trusted.overlay.opaque=y", "uid=99999", "path="};
	static const char* const refused[] = {"path=../x", "size=99999", "mtime=x", "GNU.sparse.realsize=9", "=", "SCHILY.xattr.user.=y"};
	std::string text;
	for (size_t i = 1 + random.Below(3); i > 0; i--) text += Record(random.Chance(95) ? random.Pick(records) : random.Pick(refused));
	if (random.Chance(2)) text[random.Below(text.size())] = '9';
	return Header("pax", random.Chance(90) ? 'x' : 'g', "", text.size(), random) + Padded(text);
}

std::string Archive(Random& random) {
	static const char* const types[] = {"0", "0", "0", "1", "1", "2", "2", "2", "3", "4", "5", "5", "5", "6", "7"};
	std::string archive;
	for (size_t i = 1 + random.Below(20); i > 0; i--) {
		if (random.Chance(10)) archive += Pax(random);
		if (random.Chance(5)) {
			const std::string name = Name(random) + std::string(1, '\0');
			archive += Header("././@LongLink", random.Chance(50) ? 'L' : 'K', "", name.size(), random) + Padded(name);
		}
		const char type = random.Pick(types)[0];
		const std::string content(type == '0' || type == '7' ? random.Below(2000) : 0, 'x');
		// Hard links mostly to what may be there.
		const std::string link = type == '1' && random.Chance(90) ? Name(random) : Link(random);
		archive += Header(Name(random), type, link, content.size(), random) + Padded(content);
	}
	if (random.Chance(90)) archive.append(2 * kBlock, '\0');
	return archive;
}

void Damage(std::string& archive, Random& random) {
	for (size_t i = random.Below(4); i > 0 && archive.size() >= 2 * kBlock; i--) {
		const size_t block = random.Below(archive.size() / kBlock) * kBlock;
		switch (random.Below(5)) {
			case 0:
				archive.erase(block, kBlock);
				break;
			case 1:
				archive.insert(block, archive.substr(random.Below(archive.size() / kBlock) * kBlock, kBlock));
				break;
			case 2:
				archive.resize(random.Below(archive.size()));
				break;
			default:
				archive[block + random.Below(kBlock)] = static_cast<char>(random.Below(256));
				if (random.Chance(80)) SetChecksum(archive.data() + block);
		}
	}
}

std::string Gzip(const std::string& text) {
	z_stream stream{};
	deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
	std::string out(deflateBound(&stream, text.size()) + 64, '\0');
	stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
	stream.avail_in = static_cast<uInt>(text.size());
	stream.next_out = reinterpret_cast<Bytef*>(out.data());
	stream.avail_out = static_cast<uInt>(out.size());
	deflate(&stream, Z_FINISH);
	out.resize(stream.total_out);
	deflateEnd(&stream);
	return out;
}

template <class Take> void InPieces(const std::string& bytes, Random& random, Take take) {
	for (size_t at = 0; at < bytes.size();) {
		const size_t size = std::min(bytes.size() - at, 1 + random.Below(random.Chance(50) ? 700 : 100000));
		take(reinterpret_cast<const uint8_t*>(bytes.data()) + at, size);
		at += size;
	}
}

unsigned walked;
int CountEntry(const char*, const struct stat*, int, struct FTW*) { return ++walked, 0; }

// A test of names only: without the thread's own root there is no second wall behind openat2.
bool UnpackUnconfined(const std::string& target, const std::string& archive, Random& random) {
	TreeWriter tree(Fd(open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), {1 << 20, 60});
	TarReader tar(tree);
	InPieces(archive, random, [&](const uint8_t* data, size_t size) { tar.Feed(data, size); });
	tar.Finish();
	tree.Finish();
	return tree.inodes() >= 1;
}

void UnpackWhole(const std::string& target, const std::string& archive, Random& random) {
	std::string stream = Gzip(archive);
	if (random.Chance(30)) stream[random.Below(stream.size())] ^= static_cast<char>(1 + random.Below(255));
	const std::atomic<bool> aborted{random.Chance(3)};
	LayerUnpacker unpacker({target, Compression::kGzip, 1 << 20, 60}, aborted);
	InPieces(stream, random, [&](const uint8_t* data, size_t size) { unpacker.Write(data, size); });
	unpacker.Finish();
}

// What lies around the target, and its own attributes.
std::string Outside(const std::string& dir) {
	std::string text;
	for (const char* name : {"", "/victim"}) {
		struct stat status {};
		if (stat((dir + name).c_str(), &status) != 0) return "gone";
		text += std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + " " + std::to_string(status.st_nlink) + " " + std::to_string(status.st_size) + "\n";
	}
	for (const auto& entry : std::filesystem::directory_iterator(dir)) text += entry.path().filename().string() == "fs" ? "" : entry.path().filename().string() + "\n";
	return text;
}

bool Run(unsigned seed, const std::string& dir, unsigned* unpacked) {
	Random random(seed);
	const std::string target = dir + "/fs";
	mkdir(target.c_str(), 0755);
	const std::string before = Outside(dir);
	std::string archive = Archive(random);
	if (random.Chance(40)) Damage(archive, random);
	try {
		if (geteuid() == 0 && random.Chance(25)) UnpackWhole(target, archive, random);
		else UnpackUnconfined(target, archive, random);
		++*unpacked;
	} catch (const Failure&) {
		// Refused: the tree is the caller's to remove.
	}
	const bool kept = Outside(dir) == before;
	if (!kept) printf("seed %u: something outside of the target changed\n", seed);
	walked = 0;
	nftw(target.c_str(), CountEntry, 16, FTW_PHYS);
	const bool bounded = walked <= 62;
	if (!bounded) printf("seed %u: %u inodes, though 60 are the limit\n", seed, walked);
	std::filesystem::remove_all(target);
	return kept && bounded;
}

}  // namespace

// Arguments: one seed to run alone.
int main(int argc, char** argv) {
	umask(0);
	char name[] = "/tmp/berth-test-unpack-XXXXXX";
	const std::string dir = mkdtemp(name);
	std::ofstream(dir + "/victim") << "safe";
	unsigned failed = 0, unpacked = 0, cases = 0;
	const unsigned first = argc > 1 ? static_cast<unsigned>(atoi(argv[1])) : 1;
	for (unsigned seed = first; seed < first + (argc > 1 ? 1 : kCases); seed++, cases++) failed += Run(seed, dir, &unpacked) ? 0 : 1;
	std::filesystem::remove_all(dir);
	// A generator whose archives are all refused would test nothing.
	if (argc == 1 && unpacked < cases / 10) {
		printf("only %u of %u archives were unpacked whole\n", unpacked, cases);
		failed++;
	}
	printf("test-unpack: %u archives, %u whole; %u passed, %u failed\n", cases, unpacked, failed == 0 ? 1 : 0, failed);
	return failed == 0 ? 0 : 1;
}
