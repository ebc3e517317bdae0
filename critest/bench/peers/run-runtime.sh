#!/bin/bash
# Started by critest/bench/start.ts in a mount namespace of its own: run-runtime.sh BUNDLE LOWERDIRS
# For each line "BINARY ID" of stdin: a fresh overlay for the bundle's rootfs, then `BINARY run --detach`, then all of it is taken away again.
# Answers with the microseconds that the `run` took, or with "failed" and a line of why.
set -u
bundle=$1 lower=$2
# crun refuses a unified hierarchy beside those of v1: the peers' own time is what is wanted, not their refusal.
[ -f /sys/fs/cgroup/cgroup.controllers ] || umount -l /sys/fs/cgroup/unified 2>/dev/null
mkdir -p "$bundle/rootfs" "$bundle/state"
while read -r binary id; do
	mkdir "$bundle/upper" "$bundle/work"
	mount -t overlay overlay -o "lowerdir=$lower,upperdir=$bundle/upper,workdir=$bundle/work,volatile" "$bundle/rootfs" || exit 1
	sed "s/@ID@/$id/" "$bundle/config.in" >"$bundle/config.json"
	begin=$EPOCHREALTIME
	"$binary" --root "$bundle/state" run --detach --bundle "$bundle" --pid-file "$bundle/pid" "$id" </dev/null >"$bundle/out" 2>&1
	result=$?
	end=$EPOCHREALTIME
	if [ $result -eq 0 ]; then
		echo $((${end/./} - ${begin/./}))
	else
		echo "failed $(tr '\n' ' ' <"$bundle/out")"
	fi
	"$binary" --root "$bundle/state" delete --force "$id" >/dev/null 2>&1
	umount -l "$bundle/rootfs"
	rm -rf "$bundle/upper" "$bundle/work"
done
