#!/bin/sh
# Process 1 of a VM of host.sh: does what an init does for a container runtime, with cgroup v2 alone, runs the job, says its exit code on the console, and ends the
# machine. The root is the host's below an overlay: what is written goes to the VM's own disk. /mnt/settings has VM_PROJECT; VM_TOKEN, which marks the lines that are
# the rig's; VM_SYSTEMD (1: systemd becomes process 1, and the job a unit of it); VM_DISK; VM_MODULES.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
root=/mnt/root

# reboot(LINUX_REBOOT_CMD_POWER_OFF): perl-base is on every Debian, a program for this is not.
power_off() {
	sync
	perl -e 'syscall(169, 0xfee1dead, 672274793, 0x4321fedc, 0)'
}

mount_kernel_filesystems() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
	mkdir -p /dev/pts /dev/shm /dev/mqueue
	mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	mount -t mqueue mqueue /dev/mqueue
	mount -t securityfs securityfs /sys/kernel/security 2>/dev/null || true
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	mount -t tmpfs -o mode=755 tmpfs /run
	# As systemd does it.
	mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
}

# They are brought along; the kernel loads by this name what else it needs.
load_modules() {
	printf '#!/bin/sh\nexec modprobe -d "%s" "$@"\n' "$VM_MODULES" >/run/vm/modprobe
	chmod 755 /run/vm/modprobe
	echo /run/vm/modprobe >/proc/sys/kernel/modprobe
	for module in virtio_blk overlay veth bridge br_netfilter loop ip_tables iptable_nat iptable_filter; do /run/vm/modprobe -q "$module" || true; done
}

# The project may lie below a directory that is covered. /tmp is on the disk itself, since an overlay cannot be written through another one.
make_root() {
	mount -t tmpfs tmpfs /mnt
	mkdir /mnt/disk $root /run/vm/project
	mount -t ext4 "$VM_DISK" /mnt/disk
	mkdir /mnt/disk/upper /mnt/disk/work /mnt/disk/tmp /mnt/disk/var-tmp
	chmod 1777 /mnt/disk/tmp /mnt/disk/var-tmp
	mount -t overlay -o lowerdir=/,upperdir=/mnt/disk/upper,workdir=/mnt/disk/work overlay $root
	[ -e "$root$VM_PROJECT/setup.sh" ] || mount --bind "$VM_PROJECT" "$root$VM_PROJECT"
	mount --bind "$root$VM_PROJECT" /run/vm/project
	mount --bind /mnt/disk/tmp $root/tmp
	mount --bind /mnt/disk/var-tmp $root/var/tmp
	if [ ! -e "$root$VM_PROJECT/setup.sh" ]; then
		mkdir -p "$root$VM_PROJECT"
		mount --bind /run/vm/project "$root$VM_PROJECT"
	fi
}

# Where the kernel lacks nftables for IPv4, iptables of the older kind, also for those who know its whole path.
choose_iptables() {
	if ! { iptables-nft -t nat -N vm-probe && iptables-nft -t nat -X vm-probe; } >/dev/null 2>&1; then
		mount --bind "$(command -v xtables-legacy-multi)" "$(readlink -f "$(command -v iptables-nft)")"
	fi
}

run_job() {
	trap power_off EXIT
	. /run/vm/settings
	# As systemd does it.
	mount --make-rshared /
	choose_iptables
	ip link set lo up
	hostname berth-vm
	ulimit -n 65536
	cd "$VM_PROJECT"
	PATH=$VM_PROJECT/node_modules/.bin:$PATH
	echo "berth-vm $VM_TOKEN start"
	code=0
	sh /run/vm/job.sh </dev/null || code=$?
	echo "berth-vm $VM_TOKEN exit $code"
}

# Only what the job needs of the host's units: D-Bus. None of its file systems, timers or services.
write_units() {
	: >$root/etc/fstab
	mkdir -p /run/systemd/system
	cat >/run/systemd/system/berth-vm.target <<-'UNIT'
		[Unit]
		Requires=dbus.service berth-vm.service
		AllowIsolate=yes
	UNIT
	cat >/run/systemd/system/berth-vm.service <<-'UNIT'
		[Unit]
		After=dbus.service
		[Service]
		Type=oneshot
		ExecStart=/bin/sh /run/vm/init.sh job
		StandardOutput=file:/dev/console
		StandardError=inherit
		TimeoutStartSec=infinity
		Delegate=yes
	UNIT
	for unit in timers.target paths.target systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service systemd-timesyncd.service; do
		ln -s /dev/null /run/systemd/system/$unit
	done
}

main() {
	if [ "${1:-}" = job ]; then
		run_job
		return
	fi
	trap power_off EXIT
	mount_kernel_filesystems
	mkdir -p /run/vm /run/lock /run/netns
	cp /mnt/job.sh /mnt/settings "$0" /run/vm/
	. /mnt/settings
	load_modules
	make_root
	# It takes /proc, /sys, /dev and /run along.
	if [ "$VM_SYSTEMD" = 1 ]; then
		write_units
		exec switch_root $root /lib/systemd/systemd --unit=berth-vm.target --show-status=false --log-target=null
	fi
	exec switch_root $root /bin/sh /run/vm/init.sh job
}
# Read whole before anything of it runs.
main "$@"
