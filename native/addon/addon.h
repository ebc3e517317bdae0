// The rooms of the addon; each puts its functions on `exports`. Their JavaScript types: native/addon.ts.
#pragma once

#include <v8.h>

namespace berth {

void InitChannel(v8::Local<v8::Object> exports);
void InitFdStream(v8::Local<v8::Object> exports);
void InitProgram(v8::Local<v8::Object> exports);
void InitDescriptors(v8::Local<v8::Object> exports);
void InitMounts(v8::Local<v8::Object> exports);
void InitTree(v8::Local<v8::Object> exports);
void InitTreeMeter(v8::Local<v8::Object> exports);
void InitQuota(v8::Local<v8::Object> exports);
void InitProcessCount(v8::Local<v8::Object> exports);
void InitFiles(v8::Local<v8::Object> exports);
void InitPlaces(v8::Local<v8::Object> exports);
void InitDial(v8::Local<v8::Object> exports);
void InitInherit(v8::Local<v8::Object> exports);
void InitSeccomp(v8::Local<v8::Object> exports);

}  // namespace berth

// native/unpack; absent in a build without it.
__attribute__((weak)) void InitUnpack(v8::Local<v8::Object> exports);
