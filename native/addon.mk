# build/native/berth.node: the nan addon with the unpacker. Node's own symbols are resolved when it is loaded.
NODE_ARCH ?= $(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
NODE_HEADERS ?= node_modules/node-linux-$(NODE_ARCH)/include/node
ADDON_CXX ?= g++
ADDON_CXXFLAGS ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
ADDON_FLAGS = -std=gnu++20 -fPIC -Wall -Wextra -Werror -D_GNU_SOURCE -fvisibility=hidden -isystem $(NODE_HEADERS) -isystem node_modules/nan
# nodelete: the addon's threads outlive a Worker that loaded it. defs would refuse Node's symbols.
ADDON_LDFLAGS = -shared -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
ADDON_SOURCES := $(wildcard native/addon/*.cc native/unpack/*.cc)
ADDON_DIR ?= build/native
ADDON_OBJECTS = $(ADDON_SOURCES:native/%.cc=$(ADDON_DIR)/obj/%.o)

$(ADDON_DIR)/berth.node: $(ADDON_OBJECTS) native/addon.mk
	$(ADDON_CXX) $(ADDON_CXXFLAGS) $(ADDON_LDFLAGS) -o $@.new $(ADDON_OBJECTS) -lseccomp
	mv $@.new $@

$(ADDON_DIR)/obj/%.o: native/%.cc native/addon.mk
	@mkdir -p $(@D)
	$(ADDON_CXX) $(ADDON_FLAGS) $(ADDON_CXXFLAGS) -MMD -MP -c -o $@ $<

-include $(ADDON_OBJECTS:.o=.d)

# The unpacker without Node, which otherwise brings zlib, zstd and libcrypto (the latter by its runtime name: no package of headers is needed for three functions).
UNPACK_TEST_SOURCES := native/test-unpack.cc $(filter-out native/unpack/unpack.cc native/unpack/unpacking.cc,$(wildcard native/unpack/*.cc))
build/native/test-unpack: $(UNPACK_TEST_SOURCES) $(wildcard native/unpack/*.h) native/addon.mk
	@mkdir -p $(@D)
	$(ADDON_CXX) -O1 -g -std=gnu++20 -D_GNU_SOURCE -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined -I native -isystem $(NODE_HEADERS) \
		-o $@ $(UNPACK_TEST_SOURCES) -lz -lzstd -l:libcrypto.so.3

# The addon's tests with AddressSanitizer and UBSan in it; Node itself is as always, so leaks are not looked for (it never frees at exit).
ADDON_TESTS ?= connection.test.js count.root.test.js monitor-client.root.test.js program.root.test.js kernel.root.test.js unpack.root.test.js unpack-hostile.root.test.js unpack-life.root.test.js unpack-parents.root.test.js
.PHONY: test-addon-asan
test-addon-asan:
	@$(MAKE) --no-print-directory ADDON_DIR=build/asan/native ADDON_CXXFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined' build/asan/native/berth.node
	@cp -r build/base build/asan/ && cp build/native/*.js build/asan/native/
	LD_PRELOAD="$$($(ADDON_CXX) -print-file-name=libasan.so) $$($(ADDON_CXX) -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
		PATH="$(CURDIR)/node_modules/.bin:$$PATH" ava $(AVA_FLAGS) --timeout=120s $(ADDON_TESTS:%=build/asan/native/%)
