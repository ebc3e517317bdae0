// Counting a tree in pieces, so that whoever counts sets the pace: a container may make its writable layer as large as the disk.
#include "addon.h"
#include "meter.h"
#include "work.h"

#include <atomic>

namespace berth {

namespace {

// Lives as long as a worker counts, whatever becomes of the JavaScript object.
struct Counting {
	explicit Counting(std::string path) : path(std::move(path)) {}
	const std::string path;
	Meter meter;
	bool started = false;
	std::atomic<bool> busy = false;
};

struct Count {
	Usage usage;
	bool done;
};

Count Step(Counting& counting, size_t entries) {
	if (!counting.started) counting.meter.Start(counting.path);
	counting.started = true;
	const bool done = counting.meter.Step(entries);
	return {counting.meter.usage, done};
}

v8::Local<v8::Value> CountToJs(Count& count) {
	v8::Local<v8::Value> object = UsageToJs(count.usage);
	SetField(object.As<v8::Object>(), "done", Nan::New(count.done));
	return object;
}

class TreeMeter : public Nan::ObjectWrap {
public:
	static void Init(v8::Local<v8::Object> exports) {
		v8::Local<v8::FunctionTemplate> type = Nan::New<v8::FunctionTemplate>(New);
		type->InstanceTemplate()->SetInternalFieldCount(1);
		type->SetClassName(Nan::New("TreeMeter").ToLocalChecked());
		Nan::SetPrototypeMethod(type, "step", StepOffLoop);
		SetField(exports, "TreeMeter", Nan::GetFunction(type).ToLocalChecked());
	}

private:
	// new TreeMeter(path)
	static NAN_METHOD(New) {
		Arguments arguments(info);
		std::string path = arguments.String();
		if (!arguments.ok()) return;
		auto* self = new TreeMeter;
		self->counting_ = std::make_shared<Counting>(std::move(path));
		self->Wrap(info.This());
		info.GetReturnValue().Set(info.This());
	}

	// step(entries, callback(failure, {bytes, inodes, done})): one at a time.
	static NAN_METHOD(StepOffLoop) {
		std::shared_ptr<Counting> counting = Nan::ObjectWrap::Unwrap<TreeMeter>(info.This())->counting_;
		Arguments arguments(info);
		const double entries = arguments.Number();
		v8::Local<v8::Function> callback = arguments.Function();
		if (!arguments.ok()) return;
		if (counting->busy.exchange(true)) return Nan::ThrowError(Nan::ErrnoException(EBUSY, "step"));
		Submit<Count>(callback, [counting, entries] {
			// Also when it throws.
			struct Release {
				Counting& counting;
				~Release() { counting.busy = false; }
			} release{*counting};
			return Step(*counting, static_cast<size_t>(entries));
		}, CountToJs);
	}

	std::shared_ptr<Counting> counting_;
};

}  // namespace

void InitTreeMeter(v8::Local<v8::Object> exports) {
	TreeMeter::Init(exports);
}

}  // namespace berth
