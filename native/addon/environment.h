// One Node environment (the main thread or a Worker) that loaded the addon, and the objects that must end with it.
#pragma once

#include <memory>
#include <nan.h>
#include <string>
#include <string_view>
#include <unordered_set>
#include <uv.h>
#include <vector>

namespace berth {

class Completions;

// Something with an open uv handle; told to close when the environment ends before its owner closed it.
class Closable {
public:
	virtual ~Closable() = default;
	virtual void CloseForExit() = 0;
};

class Environment {
public:
	static void Create(v8::Local<v8::Context> context);
	// The calling thread's.
	static Environment& Here();

	v8::Isolate* isolate;
	uv_loop_t* loop;
	v8::Global<v8::Context> context;
	std::unordered_set<Closable*> closables;
	std::shared_ptr<Completions> completions;

	// Calls a JavaScript function from the event loop. What it throws goes to uncaughtException, never through here.
	void Call(v8::Local<v8::Function> function, int argc, v8::Local<v8::Value>* argv);

private:
	static void Cleanup(void* self);
};

// Scopes for code that the event loop calls: no handle scope and no context are entered there.
class EnterJs {
public:
	explicit EnterJs(Environment& environment)
		: handles_(environment.isolate), context_(environment.context.Get(environment.isolate)) {}

private:
	v8::HandleScope handles_;
	v8::Context::Scope context_;
};

// Arguments of a native function. A wrong type is a TypeError of the caller's; `ok` is false then.
class Arguments {
public:
	explicit Arguments(const Nan::FunctionCallbackInfo<v8::Value>& info) : info_(info) {}
	bool ok() const { return ok_; }
	void Skip() { at_++; }
	std::string String();
	// A view of a Uint8Array's bytes: valid as long as the caller holds it.
	std::string_view Bytes();
	int Int();
	double Number();
	bool Bool();
	v8::Local<v8::Function> Function();
	v8::Local<v8::Array> Array();
	std::vector<std::string> Strings();

private:
	v8::Local<v8::Value> Next(const char* expected, bool (v8::Value::*is)() const);
	const Nan::FunctionCallbackInfo<v8::Value>& info_;
	int at_ = 0;
	bool ok_ = true;
};

// A new Buffer with a copy of `bytes`.
v8::Local<v8::Value> ToBuffer(std::string_view bytes);
void SetField(v8::Local<v8::Object> object, const char* name, v8::Local<v8::Value> value);

}  // namespace berth
