#!/bin/sh
# Builds the benchmarks' CRI client into .cache/tools/. For benchmarks only. Does nothing when its source and Go are as at the last build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=$root/.cache/tools
mkdir -p "$out"
. "$root/critest/fixtures/go-env.sh"
key=$({ cat "$here/go.mod" "$here/go.sum" "$here/main.go"; "$GO" version; } | sha256sum | cut -d' ' -f1)
if [ -x "$out/bench-client" ] && [ "$(cat "$out/bench-client.key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi
echo 'bench: building its client'
cd "$here"
CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' "$GO" build -p 2 -ldflags '-s -w' -o "$out/bench-client" . >"$out/bench-client.log" 2>&1 || {
	cat "$out/bench-client.log" >&2
	exit 1
}
echo "$key" >"$out/bench-client.key"
