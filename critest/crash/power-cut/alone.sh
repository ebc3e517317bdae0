#!/bin/sh
# alone.sh COMMAND...: runs it where nothing of it can be left, however it ends: its processes in a PID namespace, its mounts in a mount namespace, its files on a
# tmpfs of that namespace. The shell stays, as PID 1, to reap what daemons leave.
exec unshare --mount --pid --fork --kill-child --mount-proc sh -c '
	mount -t tmpfs -o size=4g,mode=1777 power-cut /dev/shm || exit 1
	export TMPDIR=/dev/shm
	"$@"
	exit $?
' sh "$@"
