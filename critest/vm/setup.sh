#!/bin/sh
# Installs what `make test-cgroup2` needs beyond setup.sh: an emulator, a distribution's kernel for it, and systemd with its bus. Quick when nothing is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ "$(uname -m)" = x86_64 ] || {
	echo "vm: user-mode Linux is for x86_64 only, this is $(uname -m)" >&2
	exit 1
}
wanted='qemu-system-x86 systemd dbus'
# Older packages of qemu bring it along.
[ -x /usr/lib/qemu/virtiofsd ] || ! apt-cache show virtiofsd >/dev/null 2>&1 || wanted="$wanted virtiofsd"
missing=
for package in $wanted; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "$missing" ] || ! "$here/fetch.sh" uml --check || ! "$here/fetch.sh" cloud-kernel --check; then
	echo 'vm: fetching the package lists'
	apt-get -qq update
fi
if [ -n "$missing" ]; then
	echo "vm: installing$missing"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >"$here/../../.cache/apt-vm.log" 2>&1 || {
		cat "$here/../../.cache/apt-vm.log" >&2
		exit 1
	}
fi
"$here/fetch.sh" uml
"$here/fetch.sh" cloud-kernel
