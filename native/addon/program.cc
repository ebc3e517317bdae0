// Starting a program and hearing of its end: posix_spawn(3) (a vfork-like clone, whatever the size of this process) on a worker, and
// a pidfd on the event loop. libuv's own SIGCHLD handling asks only for processes that it started, so the two do not meet.
#include "addon.h"
#include "watched.h"
#include "work.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace berth {

namespace {

struct Program {
	std::string path;
	std::vector<std::string> args;
	std::vector<std::string> env;
	std::string stdinBytes;
	// Empty: the daemon's.
	std::string cwd;
};

struct Spawned {
	pid_t pid = 0;
	Fd pidfd, out, err;
};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
	std::vector<char*> pointers;
	for (std::string& text : strings) pointers.push_back(text.data());
	pointers.push_back(nullptr);
	return pointers;
}

void MakePipe(Fd& readEnd, Fd& writeEnd) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) Fail("make a pipe");
	readEnd.Reset(ends[0]);
	writeEnd.Reset(ends[1]);
}

// The whole input as a file in memory: nobody has to feed a pipe, and a program that does not read it costs nothing.
Fd InputFile(const std::string& bytes) {
	Fd file(memfd_create("stdin", MFD_CLOEXEC));
	if (!file.valid()) Fail("make a file in memory");
	for (size_t at = 0; at < bytes.size();) {
		const ssize_t count = write(file.get(), bytes.data() + at, bytes.size() - at);
		if (count < 0 && errno != EINTR) Fail("fill a file in memory");
		if (count > 0) at += static_cast<size_t>(count);
	}
	if (lseek(file.get(), 0, SEEK_SET) != 0) Fail("rewind a file in memory");
	return file;
}

class SpawnSettings {
public:
	SpawnSettings(int in, int out, int err, const std::string& cwd) {
		posix_spawnattr_init(&attributes);
		sigset_t none, all;
		sigemptyset(&none);
		sigfillset(&all);
		posix_spawnattr_setsigmask(&attributes, &none);
		posix_spawnattr_setsigdefault(&attributes, &all);
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
		posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
		if (!cwd.empty()) posix_spawn_file_actions_addchdir_np(&actions, cwd.c_str());
	}
	~SpawnSettings() {
		posix_spawn_file_actions_destroy(&actions);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
};

Spawned Spawn(Program& program) {
	Spawned spawned;
	Fd out, err;
	Fd in = InputFile(program.stdinBytes);
	MakePipe(spawned.out, out);
	MakePipe(spawned.err, err);
	std::vector<char*> argv = Pointers(program.args);
	argv.insert(argv.begin(), program.path.data());
	std::vector<char*> env = Pointers(program.env);
	SpawnSettings settings(in.get(), out.get(), err.get(), program.cwd);
	errno = posix_spawn(&spawned.pid, program.path.c_str(), &settings.actions, &settings.attributes, argv.data(), env.data());
	if (errno != 0) Fail("start program", program.path);
	// Nobody else reaps this child, so its number cannot have been given away.
	spawned.pidfd.Reset(static_cast<int>(syscall(SYS_pidfd_open, spawned.pid, 0)));
	if (!spawned.pidfd.valid()) {
		const int error = errno;
		kill(-spawned.pid, SIGKILL);
		waitpid(spawned.pid, nullptr, 0);
		throw Failure{"open a pidfd", error, program.path};
	}
	return spawned;
}

v8::Local<v8::Value> SpawnedToJs(Spawned& spawned) {
	v8::Local<v8::Object> object = Nan::New<v8::Object>();
	SetField(object, "pid", Nan::New(spawned.pid));
	SetField(object, "pidfd", Nan::New(spawned.pidfd.Release()));
	SetField(object, "stdout", Nan::New(spawned.out.Release()));
	SetField(object, "stderr", Nan::New(spawned.err.Release()));
	return object;
}

// spawnProgram(path, args, env, stdin, cwd, callback(failure, {pid, pidfd, stdout, stderr}))
NAN_METHOD(SpawnProgram) {
	Arguments arguments(info);
	Program program;
	program.path = arguments.String();
	program.args = arguments.Strings();
	program.env = arguments.Strings();
	program.stdinBytes = arguments.Bytes();
	program.cwd = arguments.String();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<Spawned>(callback, [program = std::move(program)]() mutable { return Spawn(program); }, SpawnedToJs);
}

// Reaps a child of this process when it ends.
class ExitWatch : public Watched {
public:
	static void Init(v8::Local<v8::Object> exports);

protected:
	void OnEvents(int error, int events) override;
	void OnClosed() override { onExit_.Reset(); }

private:
	static NAN_METHOD(New);
	v8::Global<v8::Function> onExit_;
};

void ExitWatch::OnEvents(int error, int events) {
	(void)events;
	siginfo_t status = {};
	// P_PIDFD is 3; older C libraries lack the name.
	if (error == 0 && waitid(static_cast<idtype_t>(3), static_cast<id_t>(fd()), &status, WEXITED | WNOHANG) != 0) error = errno;
	if (error == EAGAIN || (error == 0 && status.si_pid == 0)) return;
	const int code = error != 0 ? 255 : status.si_code == CLD_EXITED ? status.si_status : 128 + status.si_status;
	v8::Local<v8::Function> onExit = onExit_.Get(environment().isolate);
	Close();
	v8::Local<v8::Value> argv[] = {Nan::New(code)};
	environment().Call(onExit, 1, argv);
}

// new ExitWatch(pidfd, onExit(exitCode))
NAN_METHOD(ExitWatch::New) {
	Arguments arguments(info);
	const int fd = arguments.Int();
	v8::Local<v8::Function> onExit = arguments.Function();
	if (!arguments.ok()) return;
	auto* self = new ExitWatch;
	self->Wrap(info.This());
	const int error = self->Open(fd);
	if (error != 0) return Nan::ThrowError(Nan::ErrnoException(error, "uv_poll_init"));
	self->onExit_.Reset(info.GetIsolate(), onExit);
	self->Want(UV_READABLE);
	info.GetReturnValue().Set(info.This());
}

void ExitWatch::Init(v8::Local<v8::Object> exports) {
	v8::Local<v8::FunctionTemplate> type = Nan::New<v8::FunctionTemplate>(New);
	type->InstanceTemplate()->SetInternalFieldCount(1);
	type->SetClassName(Nan::New("ExitWatch").ToLocalChecked());
	SetField(exports, "ExitWatch", Nan::GetFunction(type).ToLocalChecked());
}

}  // namespace

void InitProgram(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "spawnProgram", SpawnProgram);
	ExitWatch::Init(exports);
}

}  // namespace berth
