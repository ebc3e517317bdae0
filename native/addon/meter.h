// Counting what a directory tree takes on its disk.
#pragma once

#include "environment.h"
#include "walk.h"

#include <fcntl.h>
#include <set>
#include <utility>

namespace berth {

struct Usage {
	double bytes = 0;
	double inodes = 0;
};

// Disk blocks and inodes of a tree, hard links once.
class Meter : public Walk {
public:
	Usage usage;

protected:
	void OnFile(int dir, const char* name) override { Add(dir, name); }
	void OnDirectory(int dir, const char* name) override { Add(dir, name); }

private:
	void Add(int dir, const char* name) {
		struct stat status;
		if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno != ENOENT) Note("stat", errno, name);
			return;
		}
		if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !linked_.emplace(status.st_dev, status.st_ino).second) return;
		usage.bytes += static_cast<double>(status.st_blocks) * 512;
		usage.inodes++;
	}
	std::set<std::pair<dev_t, ino_t>> linked_;
};

inline v8::Local<v8::Value> UsageToJs(Usage& usage) {
	v8::Local<v8::Object> object = Nan::New<v8::Object>();
	SetField(object, "bytes", Nan::New(usage.bytes));
	SetField(object, "inodes", Nan::New(usage.inodes));
	return object;
}

}  // namespace berth
