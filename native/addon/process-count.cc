// Processes of cgroups, and what they hold open: what cgroup files do not count.
#include "addon.h"
#include "work.h"

#include <algorithm>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>

namespace berth {

namespace {

// Of a cgroup with more, the rest is counted as processes only: a fork bomb must not keep a worker busy.
constexpr size_t kMaxLooked = 1024;
// Of one cgroup. What is beyond is not told apart into sockets and other files, and counted where the kernel has the sum (6.2): a process may
// have a million open, and each that is listed costs.
constexpr size_t kMaxListed = 65536;
constexpr size_t kMaxListBytes = 1 << 20;

struct Processes {
	double count = 0, descriptors = 0, sockets = 0;
};
using Counts = std::vector<std::optional<Processes>>;

struct CloseDir {
	void operator()(DIR* dir) const { closedir(dir); }
};

std::optional<std::string> ReadAll(const std::string& path) {
	Fd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	if (!file.valid()) return std::nullopt;
	std::string text;
	char buffer[16384];
	while (text.size() < kMaxListBytes) {
		const ssize_t bytes = read(file.get(), buffer, sizeof buffer);
		if (bytes < 0 && errno == EINTR) continue;
		if (bytes < 0) return std::nullopt;
		if (bytes == 0) break;
		text.append(buffer, static_cast<size_t>(bytes));
	}
	return text;
}

// A process that ended meanwhile has none. `listed`: of the cgroup so far.
void CountDescriptors(const std::string& pid, Processes& processes, size_t& listed) {
	const std::string path = "/proc/" + pid + "/fd";
	std::unique_ptr<DIR, CloseDir> dir(opendir(path.c_str()));
	struct stat status;
	if (dir == nullptr || fstat(dirfd(dir.get()), &status) != 0) return;
	// proc_fd_getattr in fs/proc/fd.c; before 6.2 always 0.
	const double sum = static_cast<double>(status.st_size);
	double seen = 0;
	for (; listed < kMaxListed; seen++, listed++) {
		const dirent* entry = readdir(dir.get());
		while (entry != nullptr && entry->d_name[0] == '.') entry = readdir(dir.get());
		if (entry == nullptr) break;
		char target[8];
		const ssize_t length = readlinkat(dirfd(dir.get()), entry->d_name, target, sizeof target);
		if (length >= 7 && strncmp(target, "socket:", 7) == 0) processes.sockets++;
	}
	processes.descriptors += std::max(sum, seen);
}

// `path`: a cgroup.procs. It may list a process twice (cgroups.rst), which does not matter here.
std::optional<Processes> Count(const std::string& path) {
	const std::optional<std::string> list = ReadAll(path);
	if (!list) return std::nullopt;
	Processes processes;
	size_t listed = 0;
	for (size_t start = 0; start < list->size();) {
		const size_t end = list->find('\n', start);
		if (end == std::string::npos) break;
		const std::string pid = list->substr(start, end - start);
		start = end + 1;
		// 0: of a PID namespace that this one does not see.
		if (processes.count++ < kMaxLooked && pid != "0") CountDescriptors(pid, processes, listed);
	}
	return processes;
}

v8::Local<v8::Value> CountsToJs(Counts& counts) {
	v8::Local<v8::Array> array = Nan::New<v8::Array>(static_cast<int>(counts.size()));
	for (size_t i = 0; i < counts.size(); i++) {
		v8::Local<v8::Value> found = Nan::Null();
		if (counts[i]) {
			v8::Local<v8::Object> object = Nan::New<v8::Object>();
			SetField(object, "processes", Nan::New(counts[i]->count));
			SetField(object, "descriptors", Nan::New(counts[i]->descriptors));
			SetField(object, "sockets", Nan::New(counts[i]->sockets));
			found = object;
		}
		Nan::Set(array, static_cast<uint32_t>(i), found).Check();
	}
	return array;
}

// countProcesses(paths of cgroup.procs, callback(failure, ({processes, descriptors, sockets} | null)[]))
NAN_METHOD(CountProcesses) {
	Arguments arguments(info);
	std::vector<std::string> paths = arguments.Strings();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Counts>(callback, [paths = std::move(paths)] {
		Counts counts;
		for (const std::string& path : paths) counts.push_back(Count(path));
		return counts;
	}, CountsToJs);
}

}  // namespace

void InitProcessCount(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "countProcesses", CountProcesses);
}

}  // namespace berth
