// Entry of build/native/berth.node.
#include "addon.h"

#include "environment.h"

// A well-known symbol instead of a constructor that registers: the library stays loaded when a Worker ends (see native/addon.mk),
// so for the next Worker no constructor would run.
NODE_MODULE_INIT(/* exports, module, context */) {
	(void)module;
	berth::Environment::Create(context);
	berth::InitChannel(exports);
	berth::InitFdStream(exports);
	berth::InitProgram(exports);
	berth::InitDescriptors(exports);
	berth::InitMounts(exports);
	berth::InitTree(exports);
	berth::InitFiles(exports);
	berth::InitDial(exports);
	berth::InitInherit(exports);
	berth::InitSeccomp(exports);
	if (InitUnpack != nullptr) InitUnpack(exports);
}
