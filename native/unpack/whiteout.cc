// OCI image-spec layer.md, "Whiteouts".
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "failure.h"
#include "tree.h"

namespace berth::unpack {
namespace {

// Names that begin with two prefixes are aufs's own and mean nothing here.
constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kAufs = ".wh..wh.";

bool HasPartBeginning(std::string_view path, std::string_view prefix) {
	for (size_t at = path.find(prefix); at != std::string_view::npos; at = path.find(prefix, at + 1)) {
		if (at == 0 || path[at - 1] == '/') return true;
	}
	return false;
}

}  // namespace

bool TreeWriter::HandleWhiteout(const TarEntry& entry) {
	if (!HasPartBeginning(entry.path, kWhiteout)) return false;
	const char* base = BaseOf(entry.path);
	const std::string_view parentPath = ParentOf(entry.path);
	if (base == kOpaque && !HasPartBeginning(parentPath, kWhiteout)) {
		SetOpaque(root_.OpenParent(entry.path).fd.get(), entry.path);
		if (parentPath.empty()) opaqueRoot_ = true;
		return true;
	}
	if (HasPartBeginning(entry.path, kAufs)) return true;
	if (HasPartBeginning(parentPath, kWhiteout)) CorruptEntry(entry.path, "its parent is a whiteout");
	const char* hidden = base + kWhiteout.size();
	if (strcmp(hidden, "") == 0 || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0) CorruptEntry(entry.path, "the whiteout names nothing");
	MakeWhiteout(root_.OpenParent(entry.path), hidden, entry);
	return true;
}

// A whiteout hides only lower layers' content: what this layer has of that name stays, but a directory must not merge with the lower one any more.
void TreeWriter::MakeWhiteout(const OpenDirectory& parent, const char* base, const TarEntry& entry) {
	root_.CountInode(entry.path);
	if (mknodat(parent.fd.get(), base, S_IFCHR, makedev(0, 0)) == 0) return;
	if (errno != EEXIST) throw Failure("make whiteout", errno, entry.path);
	root_.UncountInode();
	const Fd directory(openat(parent.fd.get(), base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (directory.valid()) return SetOpaque(directory.get(), entry.path);
	if (errno != ENOTDIR && errno != ELOOP) throw Failure("open", errno, entry.path);
}

}  // namespace berth::unpack
