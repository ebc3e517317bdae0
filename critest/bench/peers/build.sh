#!/bin/sh
# Builds containerd from its Go module into .cache/peers/, and installs pigz and igzip, which it uses when they are in PATH, and mkfs.ext4,
# for a disk of the bench's own. For benchmarks only: setup and tests do not need it. Pinned by go.sum; does nothing when that and Go are as at the last build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=$root/.cache/peers
mkdir -p "$out"
if ! command -v pigz >/dev/null || ! command -v igzip >/dev/null || ! command -v mkfs.ext4 >/dev/null; then
	echo 'peers: installing pigz, isal (igzip) and e2fsprogs'
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends pigz isal e2fsprogs >"$out/apt.log" 2>&1 || {
		cat "$out/apt.log" >&2
		exit 1
	}
fi
. "$root/critest/fixtures/go-env.sh"
key=$({ cat "$here/go.mod" "$here/go.sum" "$0"; "$GO" version; } | sha256sum | cut -d' ' -f1)
if [ -x "$out/containerd" ] && [ "$(cat "$out/key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi
echo 'peers: building containerd (some minutes the first time)'
cd "$here"
version=$("$GO" list -m -f '{{.Version}}' github.com/containerd/containerd/v2)
CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' "$GO" build -p 2 -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$version" \
	-o "$out/containerd" github.com/containerd/containerd/v2/cmd/containerd >"$out/build.log" 2>&1 || {
	cat "$out/build.log" >&2
	exit 1
}
echo "$key" >"$out/key"
