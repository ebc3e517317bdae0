#include "confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>

#include "failure.h"

namespace berth::unpack {
namespace {

// linux/landlock.h (kernel doc userspace-api/landlock), declared here: the build machine's headers may be older than the kernel that runs this.
struct RulesetAttr {
	uint64_t handledFs, handledNet, scoped;
};
struct __attribute__((packed)) PathBeneathAttr {
	uint64_t allowed;
	int32_t parentFd;
};
constexpr unsigned kCreateRulesetVersion = 1;
constexpr int kRulePathBeneath = 1;
// Bits of LANDLOCK_ACCESS_FS_*: 0 execute … 12 make symbolic link (ABI 1), 13 refer (2), 14 truncate (3), 15 device ioctl (5).
constexpr uint64_t kExecute = 1 << 0, kDeviceIoctl = 1 << 15;
constexpr uint64_t kTcp = 3, kAbstractSocketsAndSignals = 3;

uint64_t HandledFs(int version) {
	const int bits = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
	return (uint64_t{1} << bits) - 1;
}

// Before ABI 2 a hard link from one directory to another would be refused whatever the rules say: no Landlock then.
constexpr int kFirstWithRefer = 2;

int RestrictPaths(int root, const std::string& targetDir) {
	const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
	if (version < kFirstWithRefer) return 0;
	const RulesetAttr attr{HandledFs(static_cast<int>(version)), version >= 4 ? kTcp : 0, version >= 6 ? kAbstractSocketsAndSignals : 0};
	const size_t size = version >= 6 ? sizeof attr : version >= 4 ? 16 : 8;
	const Fd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, size, 0)));
	if (!ruleset.valid()) throw Failure("make Landlock ruleset", errno, targetDir);
	const PathBeneathAttr below{attr.handledFs & ~(kExecute | kDeviceIoctl), root};
	if (syscall(SYS_landlock_add_rule, ruleset.get(), kRulePathBeneath, &below, 0) != 0) throw Failure("add Landlock rule", errno, targetDir);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) throw Failure("set no_new_privs", errno, targetDir);
	if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) throw Failure("restrict thread by Landlock", errno, targetDir);
	return static_cast<int>(version);
}

// CAP_SYS_ADMIN is for trusted.overlay.opaque and nothing else. The raw calls change this thread only, as glibc has no wrapper that would change all.
void DropCapabilities(const std::string& targetDir) {
	constexpr uint64_t kept = uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_FOWNER | uint64_t{1} << CAP_FSETID | uint64_t{1} << CAP_MKNOD |
		uint64_t{1} << CAP_SETFCAP | uint64_t{1} << CAP_SYS_ADMIN;
	struct __user_cap_header_struct header {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) != 0) throw Failure("read capabilities", errno, targetDir);
	for (int half = 0; half < 2; half++) {
		data[half].permitted &= static_cast<uint32_t>(kept >> (32 * half));
		data[half].effective = data[half].permitted;
		data[half].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) != 0) throw Failure("drop capabilities", errno, targetDir);
}

}  // namespace

Confined ConfineThread(const std::string& targetDir) {
	if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE) != 0) throw Failure("leave descriptor table", errno, targetDir);
	if (unshare(CLONE_FS) != 0) throw Failure("leave root directory", errno, targetDir);
	Confined confined;
	confined.root = Fd(open(targetDir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!confined.root.valid()) throw Failure("open target directory", errno, targetDir);
	if (fchdir(confined.root.get()) != 0 || chroot(".") != 0) throw Failure("change root directory", errno, targetDir);
	// Modes are the archive's.
	umask(0);
	confined.landlockVersion = RestrictPaths(confined.root.get(), targetDir);
	DropCapabilities(targetDir);
	return confined;
}

}  // namespace berth::unpack
