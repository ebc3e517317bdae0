#include "environment.h"

#include "work.h"

namespace berth {

namespace {
// A Node environment has its own thread, and a thread has one environment.
thread_local Environment* current = nullptr;
}  // namespace

void Environment::Create(v8::Local<v8::Context> context) {
	v8::Isolate* isolate = v8::Isolate::GetCurrent();
	auto* environment = new Environment;
	environment->isolate = isolate;
	environment->loop = node::GetCurrentEventLoop(isolate);
	environment->context.Reset(isolate, context);
	environment->completions = Completions::Open(environment);
	current = environment;
	node::AddEnvironmentCleanupHook(isolate, Cleanup, environment);
}

Environment& Environment::Here() {
	return *current;
}

void Environment::Cleanup(void* self) {
	auto* environment = static_cast<Environment*>(self);
	while (!environment->closables.empty()) {
		Closable* closable = *environment->closables.begin();
		environment->closables.erase(environment->closables.begin());
		closable->CloseForExit();
	}
	environment->completions->Close();
	environment->context.Reset();
	// The object itself stays until the thread ends: wrapped objects that are collected later still ask for it.
}

void Environment::Call(v8::Local<v8::Function> function, int argc, v8::Local<v8::Value>* argv) {
	v8::Local<v8::Object> receiver = context.Get(isolate)->Global();
	// Empty when it threw; Node has handed the exception to uncaughtException by then.
	(void)node::MakeCallback(isolate, receiver, function, argc, argv, node::async_context{0, 0}).IsEmpty();
}

v8::Local<v8::Value> Arguments::Next(const char* expected, bool (v8::Value::*is)() const) {
	const int at = at_++;
	if (!ok_) return Nan::Undefined();
	if (at < info_.Length() && ((*info_[at])->*is)()) return info_[at];
	ok_ = false;
	const std::string message = "argument " + std::to_string(at) + " must be " + expected;
	Nan::ThrowTypeError(message.c_str());
	return Nan::Undefined();
}

std::string Arguments::String() {
	v8::Local<v8::Value> value = Next("a string", &v8::Value::IsString);
	if (!ok_) return {};
	Nan::Utf8String text(value);
	return {*text, static_cast<size_t>(text.length())};
}

std::string_view Arguments::Bytes() {
	v8::Local<v8::Value> value = Next("a Uint8Array", &v8::Value::IsUint8Array);
	if (!ok_) return {};
	return {node::Buffer::Data(value), node::Buffer::Length(value)};
}

int Arguments::Int() {
	v8::Local<v8::Value> value = Next("a 32-bit integer", &v8::Value::IsInt32);
	return ok_ ? value.As<v8::Int32>()->Value() : -1;
}

double Arguments::Number() {
	v8::Local<v8::Value> value = Next("a number", &v8::Value::IsNumber);
	return ok_ ? value.As<v8::Number>()->Value() : 0;
}

bool Arguments::Bool() {
	v8::Local<v8::Value> value = Next("a boolean", &v8::Value::IsBoolean);
	return ok_ && value->IsTrue();
}

v8::Local<v8::Function> Arguments::Function() {
	v8::Local<v8::Value> value = Next("a function", &v8::Value::IsFunction);
	return ok_ ? value.As<v8::Function>() : v8::Local<v8::Function>();
}

v8::Local<v8::Array> Arguments::Array() {
	v8::Local<v8::Value> value = Next("an array", &v8::Value::IsArray);
	return ok_ ? value.As<v8::Array>() : v8::Local<v8::Array>();
}

std::vector<std::string> Arguments::Strings() {
	v8::Local<v8::Array> array = Array();
	std::vector<std::string> strings;
	if (!ok_) return strings;
	strings.reserve(array->Length());
	for (uint32_t i = 0; i < array->Length(); i++) {
		v8::Local<v8::Value> value;
		if (!Nan::Get(array, i).ToLocal(&value) || !value->IsString()) {
			ok_ = false;
			Nan::ThrowTypeError("an array of strings is wanted");
			return strings;
		}
		Nan::Utf8String text(value);
		strings.emplace_back(*text, text.length());
	}
	return strings;
}

v8::Local<v8::Value> ToBuffer(std::string_view bytes) {
	return Nan::CopyBuffer(bytes.data(), static_cast<uint32_t>(bytes.size())).ToLocalChecked();
}

void SetField(v8::Local<v8::Object> object, const char* name, v8::Local<v8::Value> value) {
	Nan::Set(object, Nan::New(name).ToLocalChecked(), value).Check();
}

}  // namespace berth
