// Compiles a seccomp profile into a BPF program by libseccomp.
#include "addon.h"
#include "work.h"

#include <algorithm>
#include <cstring>
#include <seccomp.h>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>

namespace berth {

namespace {

struct Rule {
	std::vector<std::string> names;
	std::string action;
	int error;
	std::vector<scmp_arg_cmp> args;
};

struct Profile {
	std::string defaultAction;
	int defaultError;
	std::vector<std::string> architectures;
	std::vector<Rule> rules;
};

// The profile is wrong, not the kernel.
[[noreturn]] void Wrong(const std::string& what) {
	throw Failure{"seccomp profile: " + what, 0, ""};
}

// `error`: -1 = none given, which the runtime-spec takes for EPERM.
uint32_t ToAction(const std::string& name, int error, const std::string& field) {
	const auto value = static_cast<uint16_t>(error < 0 ? EPERM : error);
	if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
	if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
	if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
	if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(value);
	if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(value);
	if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
	if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
	if (name == "SCMP_ACT_NOTIFY") Wrong(field + " SCMP_ACT_NOTIFY is not supported");
	Wrong(field + " \"" + name + "\" is not one of SCMP_ACT_*");
}

void AddArchitecture(scmp_filter_ctx filter, const std::string& name) {
	constexpr std::string_view prefix = "SCMP_ARCH_";
	if (!name.starts_with(prefix)) Wrong("architectures: \"" + name + "\" is not one of SCMP_ARCH_*");
	std::string token = name.substr(prefix.size());
	std::transform(token.begin(), token.end(), token.begin(), [](unsigned char c) { return static_cast<char>(tolower(c)); });
	const uint32_t arch = seccomp_arch_resolve_name(token.c_str());
	if (arch == 0) Wrong("architectures: \"" + name + "\" is unknown to libseccomp");
	const int status = seccomp_arch_add(filter, arch);
	if (status != 0 && status != -EEXIST) Wrong("architectures: \"" + name + "\": " + strerror(-status));
}

void Add(scmp_filter_ctx filter, uint32_t action, const std::string& name, const std::vector<scmp_arg_cmp>& args) {
	const int number = seccomp_syscall_resolve_name(name.c_str());
	if (number == __NR_SCMP_ERROR) return;
	const int status = seccomp_rule_add_array(filter, action, number, static_cast<unsigned>(args.size()), args.data());
	// The same rule once more adds nothing.
	if (status != 0 && status != -EEXIST) Wrong("syscall \"" + name + "\": " + strerror(-status));
}

// Conditions on different arguments hold together; several on one argument are alternatives, since libseccomp takes one
// condition per argument (the runtime-spec's readers all do so).
void AddRule(scmp_filter_ctx filter, uint32_t defaultAction, const Rule& rule) {
	const uint32_t action = ToAction(rule.action, rule.error, "syscalls: action");
	// libseccomp refuses rules that say what holds anyway.
	if (action == defaultAction) return;
	std::set<unsigned> indexes;
	for (const scmp_arg_cmp& arg : rule.args) indexes.insert(arg.arg);
	for (const std::string& name : rule.names) {
		if (indexes.size() == rule.args.size()) {
			Add(filter, action, name, rule.args);
			continue;
		}
		for (const scmp_arg_cmp& arg : rule.args) Add(filter, action, name, {arg});
	}
}

std::string Export(scmp_filter_ctx filter) {
	Fd file(memfd_create("seccomp", MFD_CLOEXEC));
	if (!file.valid()) Fail("make a file in memory");
	const int status = seccomp_export_bpf(filter, file.get());
	if (status != 0) throw Failure{"export seccomp program", -status, ""};
	struct stat info;
	if (fstat(file.get(), &info) != 0) Fail("read seccomp program");
	std::string program(static_cast<size_t>(info.st_size), '\0');
	if (pread(file.get(), program.data(), program.size(), 0) != info.st_size) Fail("read seccomp program");
	return program;
}

struct ReleaseFilter {
	void operator()(void* filter) const { seccomp_release(filter); }
};

std::string Compile(const Profile& profile) {
	const uint32_t defaultAction = ToAction(profile.defaultAction, profile.defaultError, "defaultAction");
	std::unique_ptr<void, ReleaseFilter> filter(seccomp_init(defaultAction));
	if (filter == nullptr) throw Failure{"start seccomp program", ENOMEM, ""};
	// 2: a binary tree over the numbers instead of a chain; older libseccomp has none, and its chain means the same.
	(void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (const std::string& name : profile.architectures) AddArchitecture(filter.get(), name);
	for (const Rule& rule : profile.rules) AddRule(filter.get(), defaultAction, rule);
	return Export(filter.get());
}

uint64_t ToU64(v8::Local<v8::Value> value) {
	return value->IsBigInt() ? value.As<v8::BigInt>()->Uint64Value() : 0;
}

scmp_compare ToCompare(const std::string& op) {
	static const char* const names[] = {"", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
	for (int i = SCMP_CMP_NE; i <= SCMP_CMP_MASKED_EQ; i++) {
		if (op == names[i]) return static_cast<scmp_compare>(i);
	}
	Wrong("syscalls: args: op \"" + op + "\" is not one of SCMP_CMP_*");
}

v8::Local<v8::Value> Field(v8::Local<v8::Object> object, const char* name) {
	return Nan::Get(object, Nan::New(name).ToLocalChecked()).ToLocalChecked();
}

std::string TextField(v8::Local<v8::Object> object, const char* name) {
	return *Nan::Utf8String(Field(object, name));
}

// The types are promised by native/addon.ts.
Rule RuleFromJs(v8::Local<v8::Object> object) {
	Rule rule;
	rule.action = TextField(object, "action");
	rule.error = Nan::To<int32_t>(Field(object, "errno")).FromMaybe(-1);
	auto names = Field(object, "names").As<v8::Array>();
	for (uint32_t i = 0; i < names->Length(); i++) rule.names.emplace_back(*Nan::Utf8String(Nan::Get(names, i).ToLocalChecked()));
	auto args = Field(object, "args").As<v8::Array>();
	for (uint32_t i = 0; i < args->Length(); i++) {
		auto arg = Nan::Get(args, i).ToLocalChecked().As<v8::Object>();
		const uint32_t index = Nan::To<uint32_t>(Field(arg, "index")).FromMaybe(6);
		if (index > 5) Wrong("syscalls: args: index must be 0 to 5");
		rule.args.push_back({index, ToCompare(TextField(arg, "op")), ToU64(Field(arg, "value")), ToU64(Field(arg, "valueTwo"))});
	}
	return rule;
}

// compileSeccomp({defaultAction, defaultErrno, syscalls}, architectures, callback(failure, Buffer))
NAN_METHOD(CompileSeccomp) {
	Arguments arguments(info);
	if (info.Length() < 1 || !info[0]->IsObject()) return Nan::ThrowTypeError("argument 0 must be an object");
	auto object = info[0].As<v8::Object>();
	Profile profile;
	std::optional<Failure> wrong;
	try {
		profile.defaultAction = TextField(object, "defaultAction");
		profile.defaultError = Nan::To<int32_t>(Field(object, "defaultErrno")).FromMaybe(-1);
		auto rules = Field(object, "syscalls").As<v8::Array>();
		for (uint32_t i = 0; i < rules->Length(); i++) {
			profile.rules.push_back(RuleFromJs(Nan::Get(rules, i).ToLocalChecked().As<v8::Object>()));
		}
	} catch (const Failure& failure) {
		wrong = failure;
	}
	arguments.Skip();
	profile.architectures = arguments.Strings();
	v8::Local<v8::Function> callback = arguments.Function();
	if (!arguments.ok()) return;
	Submit<std::string>(callback, [profile = std::move(profile), wrong] {
		if (wrong) throw *wrong;
		return Compile(profile);
	}, [](std::string& program) { return ToBuffer(program); });
}

}  // namespace

void InitSeccomp(v8::Local<v8::Object> exports) {
	Nan::SetMethod(exports, "compileSeccomp", CompileSeccomp);
}

}  // namespace berth
