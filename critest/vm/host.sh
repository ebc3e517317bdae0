#!/bin/sh
# host.sh uml|qemu: boots a VM whose root file system is this machine's, read-only, and which runs the script $VM_JOB (see init.sh for $VM_SETTINGS). Nothing of it can be
# left, however it ends: its processes are in a PID namespace that dies with this one, its mounts in a mount namespace, its memory and its disk on a tmpfs of that.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
if [ -z "${VM_INSIDE:-}" ]; then
	VM_INSIDE=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi
mount -t tmpfs -o size=90%,mode=700 berth-vm /dev/shm
export TMPDIR=/dev/shm
root=/dev/shm/root
mkdir $root
mount --bind / $root
mount -o remount,bind,ro $root
# The project may lie on a file system of its own.
if [ "$(stat -c %d /)" != "$(stat -c %d "$project")" ]; then
	mount --bind "$project" "$root$project"
	mount -o remount,bind,ro "$root$project"
fi
mount -t tmpfs -o size=1m,mode=755 job $root/mnt
printf '%s\n' "$VM_JOB" >$root/mnt/job.sh
printf '%s\n' "$VM_SETTINGS" >$root/mnt/settings
truncate -s "${VM_DISK_MIB}M" /dev/shm/disk
mkfs.ext4 -q -F -E nodiscard /dev/shm/disk

# What both kernels are told. Only its emergencies are shown: tests try what the kernel refuses and says.
told="cgroup_no_v1=all loglevel=3 ro init=$here/init.sh"

boot_uml() {
	printf 'VM_DISK=/dev/ubda\nVM_MODULES=%s\n' "$project/.cache/vm/uml/modules" >>$root/mnt/settings
	mkdir /dev/shm/uml
	# Not by exec: as process 1 of the namespace its abort at a panic would be passed over.
	# shellcheck disable=SC2086
	"$project/.cache/vm/uml/linux" "mem=${VM_MEMORY_MIB}M" ubda=/dev/shm/disk root=none rootfstype=hostfs "rootflags=$root" uml_dir=/dev/shm/uml \
		con=null con0=null,fd:1 $told </dev/null
}

boot_qemu() {
	printf 'VM_DISK=/dev/vda\nVM_MODULES=%s\n' "$project/.cache/vm/cloud-kernel/modules" >>$root/mnt/settings
	virtiofsd=/usr/lib/qemu/virtiofsd
	[ -x $virtiofsd ] || virtiofsd=/usr/libexec/virtiofsd
	$virtiofsd --socket-path=/dev/shm/fs.sock -o "source=$root" -o cache=always -o sandbox=chroot >/dev/shm/virtiofsd.log 2>&1 &
	tries=0
	while [ ! -S /dev/shm/fs.sock ]; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || {
			cat /dev/shm/virtiofsd.log >&2
			exit 1
		}
		sleep 0.1
	done
	# In one thread: with one for each CPU a CPU may run code that another one's kernel is patching (jump labels), and the guest's kernel dies of it.
	qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m "$VM_MEMORY_MIB" -nodefaults -no-reboot -nographic -serial stdio \
		-object "memory-backend-memfd,id=memory,size=${VM_MEMORY_MIB}M,share=on" -numa node,memdev=memory \
		-chardev socket,id=fs,path=/dev/shm/fs.sock -device vhost-user-fs-pci,chardev=fs,tag=hostroot \
		-drive file=/dev/shm/disk,format=raw,if=virtio,cache=unsafe -kernel "$project/.cache/vm/cloud-kernel/linux" \
		-append "console=ttyS0 panic=-1 mitigations=off rootfstype=virtiofs root=hostroot $told" </dev/null
}

"boot_$1"
