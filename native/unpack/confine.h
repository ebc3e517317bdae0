#pragma once
#include <string>

#include "fd.h"

namespace berth::unpack {

struct Confined {
	Fd root;  // the target directory
	// The Landlock ABI in force; 0: this kernel has none, and the other walls stand alone.
	int landlockVersion = 0;
};

// Takes from the calling thread, and from no other of the process, all it does not need to write below `targetDir`: its root and working directory
// become that directory, its descriptor table holds nothing of the daemon's but 0 to 2, Landlock refuses every path outside, and only the capabilities for owners,
// modes, nodes and xattrs remain. Cannot be undone: for a thread that ends with the layer. Throws Failure.
Confined ConfineThread(const std::string& targetDir);

}  // namespace berth::unpack
