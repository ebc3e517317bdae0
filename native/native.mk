# The static C of launcher, monitor and init: every file compiles; the binary build/native/berth-launcher links once all of them are there.
MUSL_CC ?= musl-gcc
LAUNCHER_FLAGS = -O2 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -static -I native -fdata-sections
# Page-aligned buffers first: the small variables then share few pages, and touched pages are what a monitor costs.
LAUNCHER_LDFLAGS = -Wl,--sort-section=alignment -Wl,-z,relro -Wl,-z,now
LAUNCHER_SOURCES := $(filter-out native/test-%.c,$(wildcard native/*.c native/launcher/*.c native/monitor/*.c native/init/*.c))
LAUNCHER_OBJECTS = $(LAUNCHER_SOURCES:native/%.c=build/native/obj/c/%.o)

build/native/obj/c/%.o: native/%.c native/native.mk
	@mkdir -p $(@D)
	$(MUSL_CC) $(LAUNCHER_FLAGS) -MMD -MP -c -o $@ $<

-include $(LAUNCHER_OBJECTS:.o=.d)

build/native/berth-launcher: $(LAUNCHER_OBJECTS)
	$(MUSL_CC) $(LAUNCHER_FLAGS) $(LAUNCHER_LDFLAGS) -o $@ $(LAUNCHER_OBJECTS)

C_TESTS = protocol log user unpack oci filter processes report
TEST_FLAGS = -O1 -g -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined -I native
build/native/test-protocol: native/protocol-parse.c native/protocol-schema.c native/text.c
build/native/test-log: native/monitor/log.c native/monitor/tap.c native/loop.c native/text.c native/memory.c
build/native/test-report: native/monitor/report.c native/init/proc-context.c native/passed-fd.c native/failure.c native/text.c
build/native/test-oci: native/monitor/oci-words.c native/text.c
build/native/test-user: native/init/user-files.c native/text.c

build/native/test-filter: native/init/filter.c native/text.c
build/native/test-processes: native/processes.c native/text.c
FUZZED = native/fuzz/try-message.c native/protocol-parse.c native/protocol-schema.c native/text.c native/failure.c native/cgroup.c native/cgroup-nested.c native/cgroup-program.c native/processes.c native/init/filter.c
build/native/test-fuzz: native/fuzz/message-tree.c native/fuzz/mutate.c $(FUZZED)

build/native/test-%: native/test-%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_FLAGS) -o $@ $(filter %.c,$^)

.PHONY: native-test native-objects
native-objects: $(LAUNCHER_OBJECTS)
native-test: native-objects $(C_TESTS:%=build/native/test-%) build/native/test-fuzz ## C tests under ASan and UBSan
	@for test in $(C_TESTS); do build/native/test-$$test || exit 1; done
	@build/native/test-fuzz native/fuzz/corpus/*

# Coverage-guided, as long as one likes; needs clang, which it installs. FUZZ_SECONDS, and FUZZ_FLAGS for libFuzzer (-seed=N, a crash's file).
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: native-test ## the message parser under libFuzzer (FUZZ_SECONDS, 60)
	@native/fuzz/setup.sh
	@mkdir -p build/fuzz/seeds build/fuzz/found
	clang -O1 -g -std=gnu17 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I native -o build/fuzz/messages native/fuzz/libfuzzer.c $(FUZZED)
	@build/native/test-fuzz --write build/fuzz/seeds native/fuzz/corpus/* >/dev/null
	cd build/fuzz && ./messages -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -print_final_stats=1 $(FUZZ_FLAGS) found seeds
