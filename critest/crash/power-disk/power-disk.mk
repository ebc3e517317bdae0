# The power-cut test's own programs: a disk that writes down what it takes (always under the sanitizers), and a library that makes syncs do nothing.
POWER_DISK_FLAGS = -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror
build/critest/power-disk: critest/crash/power-disk/power-disk.c critest/crash/power-disk/power-disk.mk
	@mkdir -p $(@D)
	$(CC) $(POWER_DISK_FLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -o $@ $<

build/critest/no-sync.so: critest/crash/power-disk/no-sync.c critest/crash/power-disk/power-disk.mk
	@mkdir -p $(@D)
	$(CC) $(POWER_DISK_FLAGS) -O2 -shared -fPIC -o $@ $<

.PHONY: test-programs
test-programs: build/critest/power-disk build/critest/no-sync.so
	@:
