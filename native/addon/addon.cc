// Entry of build/native/berth.node.
#include "addon.h"

#include "environment.h"

namespace {

void Init(v8::Local<v8::Object> exports, v8::Local<v8::Value> module, v8::Local<v8::Context> context, void* data) {
	(void)module;
	(void)data;
	berth::Environment::Create(context);
	berth::InitChannel(exports);
	berth::InitFdStream(exports);
	berth::InitProgram(exports);
	berth::InitDescriptors(exports);
	berth::InitMounts(exports);
	berth::InitTree(exports);
	berth::InitFiles(exports);
	berth::InitSeccomp(exports);
	if (InitUnpack != nullptr) InitUnpack(exports);
}

}  // namespace

NODE_MODULE_CONTEXT_AWARE(berth, Init)
