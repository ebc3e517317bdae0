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

build/native/test-protocol: native/test-protocol.c native/protocol-parse.c native/protocol-schema.c native/text.c
	@mkdir -p $(@D)
	$(CC) -O1 -g -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined -I native -o $@ $^

.PHONY: native-test native-objects
native-objects: $(LAUNCHER_OBJECTS)
native-test: native-objects build/native/test-protocol ## C tests under ASan and UBSan
	build/native/test-protocol
