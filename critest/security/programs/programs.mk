# Hostile programs, which the tests run in containers: static, so that they need nothing of an image.
HOSTILE_FLAGS = -O1 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -static
HOSTILE_PROGRAMS := $(patsubst critest/security/programs/%.c,build/critest/hostile/%,$(wildcard critest/security/programs/*.c))
build/critest/hostile/%: critest/security/programs/%.c critest/security/programs/programs.mk
	@mkdir -p $(@D)
	$(MUSL_CC) $(HOSTILE_FLAGS) -o $@ $<

test-programs: $(HOSTILE_PROGRAMS)
