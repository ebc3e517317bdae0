// Project quotas (ext4, xfs with prjquota): the filesystem counts what lies in a directory, so that nobody walks it.
#include "addon.h"
#include "work.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>

namespace berth {

namespace {

// Since Linux 5.14; older headers lack them.
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
constexpr int kProjectQuota = 2;

struct Counted {
	double bytes, inodes;
};
using Counts = std::vector<Counted>;

// What is made in `path` from now on is of the project, at any depth.
void AssignProject(const std::string& path, uint32_t project) {
	Fd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!dir.valid()) Fail("open directory", path);
	struct fsxattr attributes;
	if (ioctl(dir.get(), FS_IOC_FSGETXATTR, &attributes) != 0) Fail("read project of", path);
	attributes.fsx_projid = project;
	attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (ioctl(dir.get(), FS_IOC_FSSETXATTR, &attributes) != 0) Fail("set project of", path);
}

// ENOENT: nothing is counted for the project, so it has nothing.
Counted ReadProject(int fd, uint32_t project, const std::string& path) {
	struct dqblk quota = {};
	if (syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, kProjectQuota), project, &quota) == 0)
		return Counted{static_cast<double>(quota.dqb_curspace), static_cast<double>(quota.dqb_curinodes)};
	if (errno == ENOENT) return Counted{0, 0};
	Fail("read project quota of", path);
}

v8::Local<v8::Value> CountsToJs(Counts& counts) {
	v8::Local<v8::Array> array = Nan::New<v8::Array>(static_cast<int>(counts.size()));
	for (size_t i = 0; i < counts.size(); i++) {
		v8::Local<v8::Object> usage = Nan::New<v8::Object>();
		SetField(usage, "bytes", Nan::New(counts[i].bytes));
		SetField(usage, "inodes", Nan::New(counts[i].inodes));
		Nan::Set(array, static_cast<uint32_t>(i), usage).Check();
	}
	return array;
}

// assignProject(path, project, callback)
NAN_METHOD(AssignProjectOffLoop) {
	Arguments arguments(info);
	std::string path = arguments.String();
	const double project = arguments.Number();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { AssignProject(path, static_cast<uint32_t>(project)); });
}

// projectUsages(path, projects, callback(failure, {bytes, inodes}[])): of the filesystem that holds `path`.
NAN_METHOD(ProjectUsages) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Array> numbers = arguments.Array();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	std::vector<uint32_t> projects;
	for (uint32_t i = 0; i < numbers->Length(); i++) projects.push_back(Nan::To<uint32_t>(Nan::Get(numbers, i).ToLocalChecked()).FromMaybe(0));
	Submit<Counts>(callback, [path = std::move(path), projects = std::move(projects)] {
		Fd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		if (!dir.valid()) Fail("open directory", path);
		Counts counts;
		for (const uint32_t project : projects) counts.push_back(ReadProject(dir.get(), project, path));
		return counts;
	}, CountsToJs);
}

}  // namespace

void InitQuota(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "assignProject", AssignProjectOffLoop);
	Nan::SetMethod(exports, "projectUsages", ProjectUsages);
}

}  // namespace berth
