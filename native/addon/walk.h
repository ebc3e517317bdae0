// A walk through a directory tree that may be hostile: one descriptor at a time (depth costs no descriptors), symbolic links never
// followed, mount points never crossed, ".." believed only when it leads to the directory that the walk came from. Where it does not (the
// directory was moved meanwhile) the walk finds its way again by the names from the top, and notes it.
#pragma once

#include "failure.h"

#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace berth {

class Walk {
public:
	virtual ~Walk() = default;
	// Walks `path` itself and what is below it. A missing `path` is an empty walk. Fails at the end with the first of what was noted.
	void Run(const std::string& path);
	// The same in pieces, each of about `entries` (a directory's own entries are never split); true: the walk is over. What was noted is no failure.
	void Start(const std::string& path);
	bool Step(size_t entries);

protected:
	// Not a directory. `dir` holds it as `name`.
	virtual void OnFile(int dir, const char* name) = 0;
	// A directory, after all that is in it.
	virtual void OnDirectory(int dir, const char* name) = 0;
	// What could not be entered or handled; the walk goes on.
	void Note(const std::string& stage, int error, const std::string& name);

private:
	struct Level {
		std::string name;
		dev_t device;
		ino_t inode;
		std::vector<std::string> directories;
	};

	// Reads the directory `fd_`: files are handled at once, directories kept for later.
	void Enter(std::string name);
	void Leave();
	// After a directory was moved: `fd_` becomes the innermost level that still is where it was; what the levels below it still held is passed over.
	void FindAgain(const std::string& moved);
	void Descend(const std::string& name);
	std::string PathOf(const std::string& name) const;

	std::string top_;
	Fd fd_;
	size_t entries_ = 0;
	std::vector<Level> levels_;
	std::optional<Failure> first_;
};

}  // namespace berth
