// The unpacker's seam to JavaScript. Its steps and their order: native/addon.ts, RawUnpacker.
#include "../addon/addon.h"
#include "unpacking.h"

namespace {

using berth::unpack::Step;
using berth::unpack::Unpacking;

class UnpackerObject final : public Nan::ObjectWrap, public berth::Closable {
public:
	UnpackerObject() { environment_.closables.insert(this); }
	// Dropped without abort(): what works must not go on for nobody.
	~UnpackerObject() override {
		unpacking_->Abort(nullptr);
		environment_.closables.erase(this);
	}
	void CloseForExit() override { unpacking_->Abort(nullptr); }

	static NAN_METHOD(New) {
		if (!info.IsConstructCall()) return Nan::ThrowTypeError("use new");
		auto* object = new UnpackerObject;
		object->Wrap(info.This());
		info.GetReturnValue().Set(info.This());
	}

	// open(targetDir, compression, maxBytes, maxInodes, callback)
	static NAN_METHOD(Open) {
		berth::Arguments arguments(info);
		berth::unpack::LayerRequest request;
		request.targetDir = arguments.String();
		const std::string compression = arguments.String();
		request.maxBytes = static_cast<uint64_t>(arguments.Number());
		request.maxInodes = static_cast<uint64_t>(arguments.Number());
		v8::Local<v8::Function> callback = arguments.Function();
		if (!arguments.ok()) return;
		using berth::unpack::Compression;
		request.compression = compression == "gzip" ? Compression::kGzip : compression == "zstd" ? Compression::kZstd : Compression::kNone;
		Of(info).Open(request, Expect(callback));
	}

	// write(piece, callback): true when there is room for the next piece; callback is then never called. The bytes are copied, so the caller may change them at once.
	static NAN_METHOD(Write) {
		berth::Arguments arguments(info);
		std::string piece(arguments.Bytes());
		v8::Local<v8::Function> callback = arguments.Function();
		if (!arguments.ok()) return;
		info.GetReturnValue().Set(Of(info).Write(std::move(piece), callback));
	}

	// finish(callback(failure, sums))
	static NAN_METHOD(Finish) {
		berth::Arguments arguments(info);
		v8::Local<v8::Function> callback = arguments.Function();
		if (arguments.ok()) Of(info).Finish(Expect(callback));
	}

	// abort(callback): called when the directory is the caller's again.
	static NAN_METHOD(Abort) {
		berth::Arguments arguments(info);
		v8::Local<v8::Function> callback = arguments.Function();
		if (arguments.ok()) Of(info).Abort(Expect(callback));
	}

private:
	static Unpacking& Of(const Nan::FunctionCallbackInfo<v8::Value>& info) { return *Nan::ObjectWrap::Unwrap<UnpackerObject>(info.Holder())->unpacking_; }
	static std::unique_ptr<Step> Expect(v8::Local<v8::Function> callback) {
		auto step = std::make_unique<Step>();
		step->id = berth::Environment::Here().completions->Expect(callback);
		return step;
	}

	berth::Environment& environment_ = berth::Environment::Here();
	std::shared_ptr<Unpacking> unpacking_ = std::make_shared<Unpacking>(environment_.completions);
};

}  // namespace

void InitUnpack(v8::Local<v8::Object> exports) {
	v8::Local<v8::FunctionTemplate> type = Nan::New<v8::FunctionTemplate>(UnpackerObject::New);
	type->SetClassName(Nan::New("Unpacker").ToLocalChecked());
	type->InstanceTemplate()->SetInternalFieldCount(1);
	Nan::SetPrototypeMethod(type, "open", UnpackerObject::Open);
	Nan::SetPrototypeMethod(type, "write", UnpackerObject::Write);
	Nan::SetPrototypeMethod(type, "finish", UnpackerObject::Finish);
	Nan::SetPrototypeMethod(type, "abort", UnpackerObject::Abort);
	Nan::Set(exports, Nan::New("Unpacker").ToLocalChecked(), Nan::GetFunction(type).ToLocalChecked()).Check();
}
