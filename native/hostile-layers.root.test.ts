import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test from 'ava';
import {podTestOf, withEverything} from './user-namespace-rig.js';

const podTest = podTestOf(test);
const run = promisify(execFile);

podTest('a device node that an image brings opens no device in a pod with a user namespace; one that the request names does', async (t, pod) => {
	// A disk would be a block device; this one does no harm where the test fails.
	await run('mknod', ['-m', '666', `${pod.rig.dir}/root/lower/disk`, 'c', '1', '5']);
	const given = {path: '/given/zero', type: 'c', major: 1, minor: 5, mode: 0o666, uid: 0, gid: 0} as const;
	const script =
		'head -c 1 /disk >/dev/null 2>&1 && echo disk opened; head -c 3 /given/zero | wc -c; head -c 1 /dev/null && echo null; mount -o remount,dev,bind / 2>&1 | grep -c denied';
	const {lines} = await pod.run(script, spec => ({...withEverything(spec), devices: [...spec.devices, given]}));
	t.deepEqual(lines, ['3', 'null', '1']);
});
