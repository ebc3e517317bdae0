// The unpacker's seam to JavaScript: each piece of a layer is a job on the addon's own threads, one after the other per layer.
#include "../addon/addon.h"
#include "../addon/work.h"

#include <new>

#include "failure.h"
#include "layer.h"

namespace {

using berth::unpack::Failure;
using berth::unpack::FailureKind;

// What JavaScript holds; jobs hold it too, so that it outlives an abort while one works.
struct Work {
	std::atomic<bool> aborted{false};
	std::unique_ptr<berth::unpack::LayerUnpacker> unpacker;
};

// errno 0 and the kind as path tell the TypeScript side which error class it is.
template <class Step> auto Translated(Step step) {
	try {
		return step();
	} catch (const Failure& failure) {
		if (failure.kind() == FailureKind::kSyscall) throw berth::Failure{"unpack: " + failure.text(), failure.error(), failure.entry()};
		const char* kind = failure.kind() == FailureKind::kCorrupt ? "corrupt" : failure.kind() == FailureKind::kLimit ? "limit" : "aborted";
		throw berth::Failure{failure.text(), 0, kind};
	} catch (const std::bad_alloc&) {
		throw berth::Failure{"unpack", ENOMEM, ""};
	}
}

class UnpackerObject final : public Nan::ObjectWrap {
public:
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
		std::shared_ptr<Work> work = Of(info);
		berth::Submit(callback, [work, request] {
			Translated([&] { work->unpacker = std::make_unique<berth::unpack::LayerUnpacker>(request, work->aborted); });
		});
	}

	// write(chunk, callback): the bytes are copied, so the caller may change them at once.
	static NAN_METHOD(Write) {
		berth::Arguments arguments(info);
		auto chunk = std::make_shared<std::string>(arguments.Bytes());
		v8::Local<v8::Function> callback = arguments.Function();
		if (!arguments.ok()) return;
		std::shared_ptr<Work> work = Of(info);
		berth::Submit(callback, [work, chunk] {
			Translated([&] { work->unpacker->Write(reinterpret_cast<const uint8_t*>(chunk->data()), chunk->size()); });
		});
	}

	// finish(callback(failure, {diffId, uncompressedBytes, diskBytes, inodes}))
	static NAN_METHOD(Finish) {
		berth::Arguments arguments(info);
		v8::Local<v8::Function> callback = arguments.Function();
		if (!arguments.ok()) return;
		std::shared_ptr<Work> work = Of(info);
		berth::Submit<berth::unpack::LayerSums>(callback, [work] {
			return Translated([&] {
				berth::unpack::LayerSums sums = work->unpacker->Finish();
				work->unpacker.reset();
				return sums;
			});
		}, [](berth::unpack::LayerSums& sums) -> v8::Local<v8::Value> {
			v8::Local<v8::Object> object = Nan::New<v8::Object>();
			berth::SetField(object, "diffId", Nan::New(sums.diffId).ToLocalChecked());
			berth::SetField(object, "uncompressedBytes", Nan::New(static_cast<double>(sums.uncompressedBytes)));
			berth::SetField(object, "diskBytes", Nan::New(static_cast<double>(sums.diskBytes)));
			berth::SetField(object, "inodes", Nan::New(static_cast<double>(sums.inodes)));
			return object;
		});
	}

	// abort(): what works stops soon; every later step fails.
	static NAN_METHOD(Abort) { Of(info)->aborted = true; }

private:
	static std::shared_ptr<Work> Of(const Nan::FunctionCallbackInfo<v8::Value>& info) {
		return Nan::ObjectWrap::Unwrap<UnpackerObject>(info.Holder())->work_;
	}
	std::shared_ptr<Work> work_ = std::make_shared<Work>();
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
