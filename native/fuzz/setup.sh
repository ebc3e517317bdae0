#!/bin/sh
# What `make fuzz` needs beyond `make setup`: clang with libFuzzer and the sanitizers' runtimes.
set -eu
if command -v clang >/dev/null && echo 'int LLVMFuzzerTestOneInput(const unsigned char *b, unsigned long n) { return b == 0 && n == 1; }' |
	clang -x c -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null; then
	exit 0
fi
echo 'fuzz: installing clang'
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends clang libclang-rt-dev >/dev/null 2>&1 ||
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y clang >/dev/null
