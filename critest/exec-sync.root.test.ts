import {status} from '@grpc/grpc-js';
import test from 'ava';
import {pullBusybox, removePod, runContainer, runPod, toContainerConfig, until, type Pod} from './rig/pods.js';
import {assertRefused} from './rig/refusal.js';
import {useDaemon} from './rig/use-daemon.js';

const running = useDaemon(test);
const MIB = 1024 * 1024;

async function inPod(name: string, script = 'sleep 1000'): Promise<{readonly pod: Pod; readonly id: string}> {
	const {cri} = running().daemon;
	await pullBusybox(cri);
	const pod = await runPod(running().daemon, name);
	return {pod, id: await runContainer(cri, pod, toContainerConfig('c', ['sh', '-c', script], {stop_signal: 9}))};
}

interface Ended {
	readonly stdout: Buffer;
	readonly stderr: Buffer;
	readonly exitCode: number;
}

/** @param timeout Seconds; 0 = none. */
async function execute(container_id: string, script: string, timeout = 0): Promise<Ended> {
	const {stdout, stderr, exit_code} = await running().daemon.cri.call('ExecSync', {container_id, cmd: ['sh', '-c', script], timeout: String(timeout)}, 120_000);
	return {stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), exitCode: exit_code};
}

/** How many processes of the container run `sleep <seconds>`. */
async function countSleeps(id: string, seconds: number): Promise<number> {
	return Number((await execute(id, `ps | grep -c '[0-9] sleep ${seconds}'`)).stdout.toString());
}

test.serial('output of up to a message comes whole; of more, as much as a message holds, with the exit code and without holding the command up', async t => {
	const {pod, id} = await inPod('output');
	const whole = await execute(id, `head -c ${15 * MIB} /dev/zero; echo end >&2; exit 3`);
	t.deepEqual([whole.stdout.length, whole.stderr.toString(), whole.exitCode], [15 * MIB, 'end\n', 3]);
	const long = await execute(id, `head -c ${40 * MIB} /dev/zero; echo end >&2; exit 4`);
	t.is(long.exitCode, 4);
	t.is(long.stderr.toString(), 'end\n', 'the other stream is not cut');
	t.true(long.stdout.length > 15 * MIB && long.stdout.length <= 16 * MIB, `${long.stdout.length}`);
	const both = await execute(id, `head -c ${40 * MIB} /dev/zero & head -c ${40 * MIB} /dev/zero >&2; wait; exit 5`);
	t.is(both.exitCode, 5);
	t.true(both.stdout.length > 7 * MIB && both.stderr.length > 7 * MIB);
	t.true(both.stdout.length + both.stderr.length <= 16 * MIB);
	await removePod(running().daemon.cri, pod);
});

test.serial(
	"at its timeout a command is killed with all that descends from it, in sessions of their own too; the container's other processes and other commands are not",
	async t => {
		const {pod, id} = await inPod('timeout', '(setsid sleep 3001 &) ; sleep 1000');
		await execute(id, '(setsid sleep 3002 &) ; sleep 3002 &');
		const other = execute(id, '(setsid sleep 3003 &) ; while [ ! -e /go ]; do usleep 20000; done; echo lived', 60);
		const script = "(sleep 3004 &) ; (setsid sleep 3004 &) ; (setsid sh -c '(setsid sleep 3004 &) ; sleep 3004' &) ; sleep 3004";
		const late = running().daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', script], timeout: '5'});
		await until(
			'it has started all',
			() => countSleeps(id, 3004),
			count => count === 5,
		);
		await assertRefused(t, status.DEADLINE_EXCEEDED, /timed out after 5000 ms and was killed/, late);
		t.is(await countSleeps(id, 3004), 0);
		t.deepEqual([await countSleeps(id, 3001), await countSleeps(id, 3002), await countSleeps(id, 3003)], [1, 2, 1]);
		await execute(id, 'touch /go');
		t.is((await other).stdout.toString(), 'lived\n');
		await removePod(running().daemon.cri, pod);
	},
);

test.serial('a child in the background that has the outputs still open is not waited for, and lives on', async t => {
	const {pod, id} = await inPod('background');
	// Without an answer before its time the call would end with DEADLINE_EXCEEDED.
	for (const timeout of [0, 60]) {
		const {stdout, exitCode} = await execute(id, `sleep 3005 & (setsid sleep 3005 &) ; echo out; exit 6`, timeout);
		t.deepEqual([stdout.toString(), exitCode], ['out\n', 6]);
	}
	t.is(await countSleeps(id, 3005), 4);
	await removePod(running().daemon.cri, pod);
});

test.serial('a client that goes takes its command with it', async t => {
	const {pod, id} = await inPod('cancelled');
	const call = running().daemon.cri.call('ExecSync', {container_id: id, cmd: ['sh', '-c', 'sleep 3006 & sleep 3006']}, 5000);
	await until(
		'it runs',
		() => countSleeps(id, 3006),
		count => count === 2,
	);
	await assertRefused(t, status.DEADLINE_EXCEEDED, /deadline/i, call);
	await until(
		'it is killed',
		() => countSleeps(id, 3006),
		count => count === 0,
	);
	await removePod(running().daemon.cri, pod);
	t.pass();
});
