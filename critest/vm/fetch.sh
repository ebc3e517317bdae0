#!/bin/sh
# fetch.sh uml | cloud-kernel: puts a kernel and its modules into .cache/vm/NAME/: the distribution's package, downloaded and unpacked, not installed. Does nothing when
# its inputs are as at the last run; with --check after the name it only says by its exit code whether they are. Wants apt's package lists.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
name=$1
out=$(cd "$here/../.." && pwd)/.cache/vm/$name
key=$({ cat "$0"; . /etc/os-release; echo "$ID $VERSION_ID"; dpkg --print-architecture; } | sha256sum | cut -d' ' -f1)
[ "$(cat "$out/key" 2>/dev/null)" != "$key" ] || exit 0
[ "${2:-}" != --check ] || exit 1

case $name in
uml) package=user-mode-linux ;;
# The newest of them: what a node runs that is not a year behind.
cloud-kernel) package=$(apt-cache search --names-only '^linux-image-[0-9.]*.*-cloud-amd64$' | cut -d' ' -f1 | sort -V | tail -n 1) ;;
*)
	echo "fetch.sh: no kernel named $name" >&2
	exit 2
	;;
esac
[ -n "$package" ] || {
	echo "vm: no package of a cloud kernel here" >&2
	exit 1
}
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "vm: downloading and unpacking $package"
(cd "$work" && apt-get -qq download -o APT::Sandbox::User=root "$package" >said 2>&1) || {
	cat "$work/said" >&2
	exit 1
}
dpkg -x "$work"/*.deb "$work/tree"
rm -rf "$out"
mkdir -p "$out/modules/lib"
case $name in
uml)
	mv "$work/tree/usr/bin/linux.uml" "$out/linux"
	mv "$work/tree/usr/lib/uml/modules" "$out/modules/lib/modules"
	;;
cloud-kernel)
	mv "$work"/tree/boot/vmlinuz-* "$out/linux"
	mv "$work/tree/lib/modules" "$out/modules/lib/modules"
	;;
esac
for version in "$out"/modules/lib/modules/*; do depmod -b "$out/modules" "${version##*/}"; done
echo "$key" >"$out/key"
