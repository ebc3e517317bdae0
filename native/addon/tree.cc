// Removing and measuring directory trees.
#include "addon.h"
#include "meter.h"
#include "work.h"

#include <fcntl.h>
#include <sys/xattr.h>

namespace berth {

namespace {

class Remover : public Walk {
protected:
	void OnFile(int dir, const char* name) override { Unlink(dir, name, 0); }
	void OnDirectory(int dir, const char* name) override { Unlink(dir, name, AT_REMOVEDIR); }

private:
	void Unlink(int dir, const char* name, int flags) {
		if (unlinkat(dir, name, flags) != 0 && errno != ENOENT) Note("remove", errno, name);
	}
};

// Gives everything a label of SELinux: security.selinux of xattr(7). Links themselves, never what they lead to.
class Labeller : public Walk {
public:
	explicit Labeller(std::string label) : label_(std::move(label)) {}

protected:
	void OnFile(int dir, const char* name) override { Label(dir, name); }
	void OnDirectory(int dir, const char* name) override { Label(dir, name); }

private:
	void Label(int dir, const char* name) {
		const std::string path = "/proc/self/fd/" + std::to_string(dir) + "/" + name;
		// ENOTSUP: a filesystem that is labelled as a whole, by its mount.
		if (lsetxattr(path.c_str(), "security.selinux", label_.c_str(), label_.size() + 1, 0) != 0 && errno != ENOENT && errno != ENOTSUP) Note("label", errno, name);
	}
	std::string label_;
};

// What is mounted below keeps its labels.
void LabelTree(const std::string& path, const std::string& label) {
	try {
		Labeller(label).Run(path);
	} catch (const Failure& failure) {
		if (failure.stage != "cross mount point") throw;
	}
}

// A directory that filled up again behind the walk (readdir may pass over entries while others are removed) takes another one.
void RemoveTree(const std::string& path) {
	for (int tries = 0;; tries++) {
		try {
			return Remover().Run(path);
		} catch (const Failure& failure) {
			if (failure.error != ENOTEMPTY || tries == 3) throw;
		}
	}
}

// removeTree(path, callback)
NAN_METHOD(RemoveTreeOffLoop) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { RemoveTree(path); });
}

// treeUsage(path, callback(failure, {bytes, inodes}))
NAN_METHOD(TreeUsage) {
	Arguments arguments(info);
	std::string path = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Usage>(callback, [=] {
		Meter meter;
		meter.Run(path);
		return meter.usage;
	}, UsageToJs);
}

// labelTree(path, label, callback)
NAN_METHOD(LabelTreeOffLoop) {
	Arguments arguments(info);
	std::string path = arguments.String();
	std::string label = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (arguments.ok()) Submit(callback, [=] { LabelTree(path, label); });
}

}  // namespace

void InitTree(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "removeTree", RemoveTreeOffLoop);
	Nan::SetMethod(exports, "treeUsage", TreeUsage);
	Nan::SetMethod(exports, "labelTree", LabelTreeOffLoop);
}

}  // namespace berth
