import {basename, join} from 'node:path';
import test from 'ava';
import {LaunchRig} from '../../../native/launch-rig.js';
import {SyscallError} from '../../../base/errors.js';
import type {CgroupProgram} from '../../../native/native.js';
import {DEFAULT_DEVICE_RULES, type DeviceRule} from '../device-rules.js';
import {openCgroups} from '../hierarchies.js';
import {toDeviceProgram} from './device-program.js';

/** Devices that every kernel has; "name type major minor". */
const DEVICES = ['null c 1 3', 'zero c 1 5', 'full c 1 7', 'urandom c 1 9', 'tun c 10 200', 'loop b 7 0'];
/** For each device: may it be made, read, written. Refused by the filter is EPERM; any other end (ENXIO, ENOSPC) was let through. */
const SCRIPT = `try() { "$@" 2>&1 >/dev/null | grep -q 'not permitted' && echo -n - || echo -n +; }
cd /tmp
echo '${DEVICES.join('\n')}' | while read name type major minor; do
	echo -n "$name "
	try mknod $name $type $major $minor
	try dd if=$name of=/tmp/read bs=1 count=1
	try dd if=/tmp/one of=$name bs=1 count=1 conv=notrunc
	echo
done`;

/** The kernel's own answers, in a cgroup of the unified hierarchy, which a hybrid machine has as well. */
async function answers(programs: (dir: string) => readonly CgroupProgram[]): Promise<readonly string[]> {
	const {unified, mode} = await openCgroups();
	if (unified === null) throw new Error('this machine has no unified cgroup hierarchy');
	await using rig = await LaunchRig.open();
	const monitor = await (await rig.openLauncher()).createMonitor(rig.monitorRequest('pod'));
	const spec = await rig.launchSpec('pod', `echo 1 > /tmp/one; ${SCRIPT}`);
	const {dirs, join: joins, writes} = spec.cgroup;
	const dir = mode === 'v2' ? (dirs[0] ?? '') : join(unified.mountpoint, basename(rig.dir));
	const more = mode === 'v2' ? [] : [dir];
	await monitor.createContainer({...spec, cgroup: {dirs: [...dirs, ...more], writes, join: [...joins, ...more], programs: programs(dir)}});
	await monitor.startContainer(spec.containerId);
	await rig.exitOf(spec.containerId);
	return await rig.logLines(spec.containerId);
}

const withRules = (rules: readonly DeviceRule[]) => answers(dir => [{dir, kind: 'device', instructions: toDeviceProgram(rules)}]);

test.serial('without a program the capability alone decides', async t => {
	t.deepEqual(
		(await answers(() => [])).map(line => line.split(' ')[1]),
		DEVICES.map(() => '+++'),
	);
});

test.serial('the kernel lets a container use what every container may, and make but not use the rest', async t => {
	t.deepEqual(await withRules(DEFAULT_DEVICE_RULES), ['null +++', 'zero +++', 'full +++', 'urandom +++', 'tun +--', 'loop +--']);
});

test.serial('each kind of access is for itself; rules of one device add up; * stands for all', async t => {
	const rules: readonly DeviceRule[] = [
		{type: 'c', major: null, minor: null, access: 'm'},
		{type: 'c', major: 1, minor: 3, access: 'rw'},
		{type: 'c', major: 1, minor: 5, access: 'w'},
		{type: 'c', major: 1, minor: 7, access: 'r'},
		{type: 'c', major: 1, minor: 7, access: 'w'},
		{type: 'b', major: null, minor: null, access: 'rwm'},
	];
	t.deepEqual(await withRules(rules), ['null +++', 'zero +-+', 'full +++', 'urandom +--', 'tun +--', 'loop +++']);
});

test.serial('nothing is allowed by an empty list: not even the device that its own set-up makes', async t => {
	await t.throwsAsync(withRules([]), {instanceOf: SyscallError, message: 'make device /dev/null: EPERM: operation not permitted'});
});

test.serial('a program that the kernel refuses fails the container, which leaves nothing', async t => {
	const broken = answers(dir => [{dir, kind: 'device', instructions: Buffer.alloc(8)}]);
	await t.throwsAsync(broken, {instanceOf: SyscallError, message: /^load program .*(EINVAL|EACCES)/});
});
