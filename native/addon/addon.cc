// Entry of build/native/berth.node.
#include "addon.h"

#include <malloc.h>

#include "environment.h"

// glibc keeps what threads free, in an arena per thread, and after the first free of a large block does not give large ones back either
// (mallopt(3)): pulls grew the daemon by 114 to 130 MB, and by 66 to 76 so (make bench-pull, row zstd), at the same speed.
static void BoundFreedMemory() {
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

// A well-known symbol instead of a constructor that registers: the library stays loaded when a Worker ends (see native/addon.mk),
// so for the next Worker no constructor would run.
NODE_MODULE_INIT(/* exports, module, context */) {
	(void)module;
	BoundFreedMemory();
	berth::Environment::Create(context);
	berth::InitChannel(exports);
	berth::InitFdStream(exports);
	berth::InitProgram(exports);
	berth::InitDescriptors(exports);
	berth::InitMounts(exports);
	berth::InitTree(exports);
	berth::InitTreeMeter(exports);
	berth::InitQuota(exports);
	berth::InitProcessCount(exports);
	berth::InitFiles(exports);
	berth::InitPlaces(exports);
	berth::InitDial(exports);
	berth::InitInherit(exports);
	berth::InitSeccomp(exports);
	if (InitUnpack != nullptr) InitUnpack(exports);
}
