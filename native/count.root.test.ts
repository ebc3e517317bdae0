import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {link, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, rmdir, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout} from 'node:timers/promises';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {SyscallError} from '../base/errors.js';
import {openNative} from './open-native.js';

const {kernel} = openNative();
const run = promisify(execFile);

async function makeDir(t: ExecutionContext, below = tmpdir()): Promise<string> {
	const dir = await mkdtemp(path.join(below, 'berth-count-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

test('a tree counted in pieces has the sum of treeUsage and du', async t => {
	const dir = await makeDir(t);
	for (let i = 0; i < 30; i++) {
		await mkdir(`${dir}/tree/${i}/sub`, {recursive: true});
		for (let j = 0; j < 5; j++) await writeFile(`${dir}/tree/${i}/sub/${j}`, Buffer.alloc(i * 1000, 1));
	}
	await link(`${dir}/tree/1/sub/1`, `${dir}/tree/2/linked`);
	await symlink('/', `${dir}/tree/root`);
	const meter = kernel.openTreeMeter(`${dir}/tree`);
	let steps = 1;
	let count = await meter.step(10);
	for (; !count.done; steps++) count = await meter.step(10);
	t.true(steps > 5, `${steps} steps`);
	const {bytes, inodes} = await kernel.treeUsage(`${dir}/tree`);
	t.like(count, {bytes, inodes});
	t.is(bytes, Number((await run('du', ['-s', '-B1', `${dir}/tree`])).stdout.split('\t')[0]));
	t.like(await meter.step(10), {bytes, inodes, done: true});
	t.deepEqual(await kernel.openTreeMeter(`${dir}/none`).step(10), {bytes: 0, inodes: 0, done: true});
});

test('one step of a meter at a time', async t => {
	const meter = kernel.openTreeMeter('/usr/share');
	const first = meter.step(5000);
	await t.throwsAsync(meter.step(1), {message: /EBUSY|busy/});
	const {inodes} = await first;
	t.true((await meter.step(10)).inodes >= inodes);
});

test('a directory that is moved away while it is counted hides nothing beside it', async t => {
	const dir = await makeDir(t);
	await mkdir(`${dir}/elsewhere`);
	for (const name of ['a', 'b', 'c', 'd']) {
		await mkdir(`${dir}/tree/${name}/deep/deeper`, {recursive: true});
		for (let i = 0; i < 20; i++) await writeFile(`${dir}/tree/${name}/deep/deeper/${i}`, '');
	}
	const meter = kernel.openTreeMeter(`${dir}/tree`);
	let count = await meter.step(1);
	// The walk is in one of the four by now: all of them go, one after the other, and come back.
	for (let i = 0; !count.done; i++) {
		const names = await readdir(`${dir}/tree`);
		for (const name of names) await rename(`${dir}/tree/${name}`, `${dir}/elsewhere/${name}-${i}`);
		count = await meter.step(1);
		for (const name of names) await rename(`${dir}/elsewhere/${name}-${i}`, `${dir}/tree/${name}`);
		t.true(i < 1000);
	}
	// At least the files that were seen before it went.
	t.true(count.inodes >= 20, `${count.inodes}`);
	t.is((await kernel.treeUsage(`${dir}/tree`)).inodes, 1 + 4 * 23);
});

test('directories of a very deep tree that are moved while it is counted cost one way down', async t => {
	const dir = await makeDir(t, '/dev/shm');
	t.teardown(async () => await kernel.removeTree(`${dir}/tree`));
	const depth = 20_000;
	const script = `
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for i in range(${depth}):
	os.mkdir('d'); os.chdir('d')
	if i == ${depth / 2}: middle = os.open('.', os.O_RDONLY)
	if i == ${depth - 3}: above = os.open('.', os.O_RDONLY)
print('made', flush=True)
sys.stdin.readline()
os.rename('d', 'lifted', src_dir_fd=above, dst_dir_fd=middle)
os.rename('d', 'moved', src_dir_fd=middle, dst_dir_fd=middle)
print('moved', flush=True)`;
	const child = spawn('python3', ['-c', script, `${dir}/tree`], {stdio: ['pipe', 'pipe', 'inherit']});
	const ended = once(child, 'exit');
	t.teardown(async () => {
		child.kill('SIGKILL');
		// What it is in would cost each removal above it a walk of the kernel.
		await ended;
	});
	await once(child.stdout, 'data');
	const meter = kernel.openTreeMeter(`${dir}/tree`);
	// On its way down it is at the bottom, with nothing counted yet but what it has seen.
	t.like(await meter.step(depth - 1), {inodes: 0, done: false});
	child.stdin.write('\n');
	await once(child.stdout, 'data');
	// Level by level, each by a way from the top, this takes minutes.
	let count = await meter.step(depth);
	while (!count.done) count = await meter.step(depth);
	t.true(count.inodes >= depth / 2, `${count.inodes}`);
});

test('countProcesses counts processes of a cgroup, their descriptors, and sockets among these', async t => {
	const cgroup = `/sys/fs/cgroup/${(await readdir('/sys/fs/cgroup')).includes('cgroup.controllers') ? '' : 'pids/'}berth-count-${process.pid}`;
	await mkdir(cgroup);
	const script = `
import os, socket, sys, time
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
if os.fork() == 0: time.sleep(1000)
sockets = [socket.socket() for _ in range(3)]
files = [open('/etc/passwd') for _ in range(5)]
print('ready', flush=True)
time.sleep(1000)`;
	const child = spawn('python3', ['-c', script, cgroup], {stdio: ['ignore', 'pipe', 'inherit']});
	try {
		await once(child.stdout, 'data');
		const [count, none] = await kernel.countProcesses([`${cgroup}/cgroup.procs`, '/nonexistent/cgroup.procs']);
		const pids = (await readFile(`${cgroup}/cgroup.procs`, 'utf8')).trim().split('\n');
		const open = (await Promise.all(pids.map(async pid => (await readdir(`/proc/${pid}/fd`)).map(fd => `/proc/${pid}/fd/${fd}`)))).flat();
		const links = await Promise.all(open.map(async fd => await readlink(fd)));
		const sockets = links.filter(target => target.startsWith('socket:')).length;
		t.true(sockets >= 3 && links.length >= 3 + 3 + 3 + 5);
		t.deepEqual(count, {processes: 2, descriptors: links.length, sockets});
		t.is(none, null);
		t.deepEqual(await kernel.countProcesses([]), []);
	} finally {
		const procs = (await run('cat', [`${cgroup}/cgroup.procs`])).stdout.trim().split('\n');
		for (const pid of procs) if (pid !== '') process.kill(Number(pid), 'SIGKILL');
		await removeEmptied(cgroup);
	}
});

/** Its processes were just killed, and may take a moment to go. */
async function removeEmptied(cgroup: string): Promise<void> {
	for (let tries = 0; ; tries++) {
		try {
			return await rmdir(cgroup);
		} catch (error) {
			if (tries === 200) throw error;
			await setTimeout(20);
		}
	}
}

test('countProcesses has the sum of more descriptors than it looks at', async t => {
	const dir = await makeDir(t);
	// Five of them have more than the 65536 that are looked at one by one; the limit of one process is the machine's.
	const [processes, each] = [5, 14_000];
	const script = `
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (${each} + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(${processes - 1}):
	if os.fork() == 0: break
for _ in range(${each}): os.dup(0)
os.write(1, b'%d\\n' % os.getpid())
os.read(0, 1)`;
	const child = spawn('python3', ['-c', script], {stdio: ['pipe', 'pipe', 'inherit']});
	// They end when their input does.
	t.teardown(() => child.stdin.destroy());
	let pids: string[] = [];
	let said = '';
	while (pids.length < processes) {
		const [chunk] = await once(child.stdout, 'data');
		said += String(chunk);
		pids = said.split('\n').slice(0, -1);
	}
	await writeFile(`${dir}/procs`, said);
	const open = await Promise.all(pids.map(async pid => (await readdir(`/proc/${pid}/fd`)).length));
	const [count] = await kernel.countProcesses([`${dir}/procs`]);
	t.like(count, {processes, descriptors: open.reduce((sum, one) => sum + one, 0)});
	t.true((count?.descriptors ?? 0) > 65_536);
});

test('projectUsages of a filesystem that counts no projects says so, and assignProject of what is no directory', async t => {
	const error = await t.throwsAsync(kernel.projectUsages('/proc', [0]), {instanceOf: SyscallError});
	t.true([3, 38].includes(error.errno), String(error.errno));
	await t.throwsAsync(kernel.projectUsages('/nonexistent', [0]), {instanceOf: SyscallError, message: /open directory/});
	await t.throwsAsync(kernel.assignProject('/dev/null', 7), {instanceOf: SyscallError, message: /open directory/});
});
