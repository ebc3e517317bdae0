#!/bin/sh
# Builds a kubelet, the other parts of a cluster and Kubernetes' own e2e tests from their Go modules into .cache/kubernetes/bin/: those that are named,
# or all. Pinned by the go.sum beside each go.mod in tools/; one that is as at its last build is left alone. `--check` builds nothing and says by its
# exit code whether all that are named are current. The kubelet takes some six minutes of CPU the first time, all of them some twelve.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/.cache/kubernetes/bin
all='kubelet kubectl agnhost kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd coredns e2e.test e2e_node.test ginkgo'
check=
[ "${1:-}" != --check ] || {
	check=1
	shift
}
[ $# -gt 0 ] || set -- $all

kubernetes=k8s.io/kubernetes
# The module that has a program, its package, and how it is built: `build`, or `test -c`.
describe() {
	module=$here/tools
	how=build
	case $1 in
	kubelet | kubectl | kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy) package=$kubernetes/cmd/$1 ;;
	agnhost) package=$kubernetes/test/images/agnhost ;;
	e2e.test) package=$kubernetes/test/e2e how='test -c' ;;
	e2e_node.test) package=$kubernetes/test/e2e_node how='test -c' ;;
	ginkgo) package=github.com/onsi/ginkgo/v2/ginkgo ;;
	etcd) package=go.etcd.io/etcd/server/v3 module=$here/tools/etcd ;;
	coredns) package=github.com/coredns/coredns module=$here/tools/coredns ;;
	*)
		echo "kubernetes: no program $1: there are $all" >&2
		exit 2
		;;
	esac
}

. "$root/critest/fixtures/go-env.sh"
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
go_version=$("$GO" version)
mkdir -p "$out"
for name in "$@"; do
	describe "$name"
	key=$({ cat "$module/go.mod" "$module/go.sum" "$here/build.sh"; echo "$go_version"; } | sha256sum | cut -d' ' -f1)
	if [ -x "$out/$name" ] && [ "$(cat "$out/.$name.key" 2>/dev/null)" = "$key" ]; then continue; fi
	[ -z "$check" ] || exit 1
	echo "kubernetes: building $name (some minutes the first time)"
	cd "$module"
	flags='-s -w'
	if [ "$module" = "$here/tools" ]; then
		version=$("$GO" list -m -f '{{.Version}}' $kubernetes)
		stem=${version#v}
		stem=${stem%.*}
		# Without these the parts take each other, and the kubelet's reports, for version 0.
		for variable in "gitVersion=$version" "gitMajor=${stem%.*}" "gitMinor=${stem#*.}" gitTreeState=clean; do
			flags="$flags -X k8s.io/component-base/version.$variable -X k8s.io/client-go/pkg/version.$variable"
		done
	fi
	# Built beside its place and moved there: one that runs stays whole, and an interrupted build leaves nothing that looks current.
	# shellcheck disable=SC2086
	"$GO" $how -p 2 -ldflags "$flags" -o "$out/.$name.new" "$package" >"$out/.$name.log" 2>&1 || {
		cat "$out/.$name.log" >&2
		exit 1
	}
	mv "$out/.$name.new" "$out/$name"
	echo "$key" >"$out/.$name.key"
	rm -f "$out/.$name.log"
done
