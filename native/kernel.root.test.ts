import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, link, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {type AddressInfo, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError, SyscallError} from '../base/errors.js';
import type {SeccompProfile} from './native.js';
import {openNative} from './open-native.js';

const {kernel} = openNative();
const run = promisify(execFile);

async function makeDir(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(path.join(tmpdir(), 'berth-kernel-'));
	t.teardown(async () => await rm(dir, {recursive: true, force: true}));
	return dir;
}

test('makeLayer makes diff as it is to look, work and the record; one that is there is refused and kept', async t => {
	const layer = `${await makeDir(t)}/layer`;
	await kernel.makeLayer(layer, {mode: 0o1777, uid: 70_000, gid: 70_001}, '{"version":1}');
	t.like(await stat(`${layer}/diff`), {mode: 0o041777, uid: 70_000, gid: 70_001});
	t.is((await stat(`${layer}/work`)).mode, 0o040700);
	t.is((await stat(layer)).mode, 0o040711);
	t.is((await stat(`${layer}/snapshot.json`)).mode, 0o100600);
	t.is(await readFile(`${layer}/snapshot.json`, 'utf8'), '{"version":1}');
	await t.throwsAsync(kernel.makeLayer(layer, {mode: 0o755, uid: 0, gid: 0}, 'other'), {instanceOf: SyscallError, message: /make layer.*EEXIST/});
	t.is(await readFile(`${layer}/snapshot.json`, 'utf8'), '{"version":1}');
	await kernel.makeLayer(`${layer}2`, {mode: 0o755, uid: 0, gid: 0}, null);
	t.deepEqual((await readdir(`${layer}2`)).toSorted(), ['diff', 'work']);
	await rm(`${layer}2`, {recursive: true});
});

test('makeHostPaths makes what is missing, leaves what is there, and makes nothing when one path cannot be looked at', async t => {
	const dir = await makeDir(t);
	await writeFile(`${dir}/file`, 'kept');
	await kernel.makeHostPaths(`${dir}/logs/a`, [`${dir}/new/deep/er`, `${dir}/file`, `${dir}/new/deep/er`]);
	for (const made of ['logs/a', 'new/deep/er']) t.is((await stat(`${dir}/${made}`)).mode, 0o040755);
	t.is(await readFile(`${dir}/file`, 'utf8'), 'kept');
	await t.throwsAsync(kernel.makeHostPaths(`${dir}/logs/b`, [`${dir}/other`, `${dir}/file/below`]), {
		instanceOf: SyscallError,
		message: /mounts\.host_path stat.*ENOTDIR/,
	});
	t.deepEqual((await readdir(dir)).toSorted(), ['file', 'logs', 'new']);
	t.deepEqual(await readdir(`${dir}/logs`), ['a']);
	await t.throwsAsync(kernel.makeHostPaths(`${dir}/file/logs`, []), {instanceOf: SyscallError, message: /log_path mkdir/});
	await kernel.makeHostPaths(null, []);
});

test('removeTree removes everything, follows no symlink, and is idempotent', async t => {
	const dir = await makeDir(t);
	await mkdir(`${dir}/outside/sub`, {recursive: true});
	await writeFile(`${dir}/outside/sub/kept`, 'kept');
	await mkdir(`${dir}/tree/a/b`, {recursive: true});
	await symlink(`${dir}/outside`, `${dir}/tree/a/link`);
	await symlink('../../../outside/sub', `${dir}/tree/a/b/relative`);
	await run('mkfifo', [`${dir}/tree/fifo`]);
	for (let i = 0; i < 500; i++) await writeFile(`${dir}/tree/a/file${i}`, '');
	await kernel.removeTree(`${dir}/tree/`);
	await kernel.removeTree(`${dir}/tree`);
	await kernel.removeTree(`${dir}/missing/tree`);
	t.is(await readFile(`${dir}/outside/sub/kept`, 'utf8'), 'kept');
	t.deepEqual(await readdir(dir), ['outside']);
	await symlink(`${dir}/outside`, `${dir}/top`);
	await kernel.removeTree(`${dir}/top`);
	t.deepEqual(await readdir(dir), ['outside']);
	t.deepEqual(await readdir(`${dir}/outside`), ['sub']);
});

test('removeTree and treeUsage take a tree deeper than a path or the descriptors of a process can be', async t => {
	const dir = await makeDir(t);
	await mkdir(`${dir}/tree`);
	await run('python3', ['-c', 'import os\nfor i in range(3000): os.mkdir("deeeeep"); os.chdir("deeeeep")'], {cwd: `${dir}/tree`});
	t.is((await kernel.treeUsage(`${dir}/tree`)).inodes, 3001);
	await kernel.removeTree(`${dir}/tree`);
	t.deepEqual(await readdir(dir), []);
});

test('labelTree labels everything below and the path itself, links and not what they lead to, and no mount below', async t => {
	const dir = await makeDir(t);
	for (const name of ['tree/deep', 'tree/mounted', 'other']) await mkdir(`${dir}/${name}`, {recursive: true});
	for (const name of ['tree/deep/file', 'other/file', 'outside']) await writeFile(`${dir}/${name}`, '');
	await symlink(`${dir}/outside`, `${dir}/tree/link`);
	await run('mount', ['--bind', `${dir}/other`, `${dir}/tree/mounted`]);
	const label = 'system_u:object_r:container_file_t:s0:c1,c2';
	const script =
		'import os,sys\nfor p in sys.argv[1:]:\n try: print(os.getxattr(p,"security.selinux",follow_symlinks=False).rstrip(b"\\0").decode())\n except OSError: print("none")';
	try {
		await kernel.labelTree(`${dir}/tree`, label);
		const paths = ['tree', 'tree/deep', 'tree/deep/file', 'tree/link', 'outside', 'other', 'other/file'].map(name => `${dir}/${name}`);
		const {stdout} = await run('python3', ['-c', script, ...paths]);
		t.deepEqual(stdout.trim().split('\n'), [label, label, label, label, 'none', 'none', 'none']);
		await kernel.labelTree(`${dir}/not-there`, label);
	} finally {
		await run('umount', [`${dir}/tree/mounted`]);
	}
});

test('removeTree crosses no mount point, says EBUSY, and removes the rest', async t => {
	const dir = await makeDir(t);
	await mkdir(`${dir}/tree/mounted`, {recursive: true});
	await mkdir(`${dir}/other`);
	await writeFile(`${dir}/other/kept`, '');
	await writeFile(`${dir}/tree/gone`, '');
	// A bind mount within one filesystem: the device number is the same on both sides.
	await run('mount', ['--bind', `${dir}/other`, `${dir}/tree/mounted`]);
	try {
		for (const tree of [`${dir}/tree`, `${dir}/tree/mounted`]) {
			const error = await t.throwsAsync(kernel.removeTree(tree), {instanceOf: SyscallError});
			t.is(error.errno, 16);
			t.is(error.details['path'], `${dir}/tree/mounted`);
		}
		t.deepEqual(await readdir(`${dir}/other`), ['kept']);
		t.deepEqual(await readdir(`${dir}/tree`), ['mounted']);
	} finally {
		await run('umount', [`${dir}/tree/mounted`]);
	}
	await kernel.removeTree(`${dir}/tree`);
	t.deepEqual(await readdir(dir), ['other']);
});

test('treeUsage counts blocks and inodes, hard links once', async t => {
	const dir = await makeDir(t);
	await mkdir(`${dir}/tree/sub`, {recursive: true});
	await writeFile(`${dir}/tree/file`, Buffer.alloc(100_000, 1));
	await link(`${dir}/tree/file`, `${dir}/tree/sub/link`);
	await symlink('/', `${dir}/tree/root`);
	const {bytes, inodes} = await kernel.treeUsage(`${dir}/tree`);
	t.is(inodes, 4);
	const {stdout} = await run('du', ['-s', '-B1', `${dir}/tree`]);
	t.is(bytes, Number(stdout.split('\t')[0]));
});

test('writeFile writes once to what is there, makes nothing, and says what the kernel says', async t => {
	const dir = await makeDir(t);
	await writeFile(`${dir}/file`, 'before');
	await kernel.writeFile(`${dir}/file`, 'af');
	t.is(await readFile(`${dir}/file`, 'utf8'), 'affore');
	await t.throwsAsync(kernel.writeFile(`${dir}/missing`, 'x'), {instanceOf: SyscallError, message: `write ${dir}/missing: ENOENT: no such file or directory`});
	t.deepEqual(await readdir(dir), ['file']);
	await t.throwsAsync(kernel.writeFile('/proc/self/oom_score_adj', '9999'), {instanceOf: SyscallError, message: /EINVAL/});
});

test('readFiles gives contents in order, null for what cannot be read, at most 64 KiB each', async t => {
	const dir = await makeDir(t);
	await writeFile(`${dir}/a`, 'a');
	await writeFile(`${dir}/large`, Buffer.alloc(100_000));
	await run('mkfifo', [`${dir}/fifo`]);
	const contents = await kernel.readFiles([`${dir}/a`, `${dir}/missing`, dir, `${dir}/large`, '/proc/self/comm', `${dir}/fifo`]);
	t.is(Buffer.from(contents[0]!).toString(), 'a');
	t.is(contents[1], null);
	t.is(contents[2], null);
	t.is(contents[3]!.length, 65536);
	t.true(contents[4]!.length > 1);
	t.is(contents[5]!.length, 0);
});

test('a network namespace outlives its process while it is pinned; unpinning is idempotent', async t => {
	const dir = await makeDir(t);
	const pin = `${dir}/netns/pod`;
	const child = execFile('unshare', ['--net', 'sleep', '100']);
	t.teardown(() => child.kill('SIGKILL'));
	const own = (await stat('/proc/self/ns/net')).ino;
	let inode = own;
	while (inode === own) inode = (await stat(`/proc/${child.pid}/ns/net`)).ino;
	await kernel.pinNetworkNamespace(child.pid!, pin);
	child.kill('SIGKILL');
	try {
		t.is((await stat(pin)).ino, inode);
		const error = await t.throwsAsync(kernel.pinNetworkNamespace(process.pid, pin), {instanceOf: SyscallError});
		t.is(error.errno, 17);
		const {stdout} = await run('nsenter', [`--net=${pin}`, 'cat', '/proc/net/dev']);
		t.regex(stdout, /lo:/);
	} finally {
		await kernel.unpinNetworkNamespace(pin);
	}
	await t.throwsAsync(lstat(pin), {code: 'ENOENT'});
	await kernel.unpinNetworkNamespace(pin);
	const failed = await t.throwsAsync(kernel.pinNetworkNamespace(2 ** 22 + 1, `${dir}/netns/none`), {instanceOf: SyscallError});
	t.is(failed.errno, 2);
	await t.throwsAsync(access(`${dir}/netns/none`), {code: 'ENOENT'});
});

test('syncFilesystem and notifySystemd, with a socket path longer than sun_path', async t => {
	const dir = await makeDir(t);
	await kernel.syncFilesystem(dir);
	await t.throwsAsync(kernel.syncFilesystem(`${dir}/missing`), {instanceOf: SyscallError});
	const error = await t.throwsAsync(kernel.notifySystemd(`${dir}/${'long/'.repeat(30)}notify`, 'READY=1'), {instanceOf: SyscallError});
	t.is(error.errno, 2);
	const listener = execFile('python3', [
		'-c',
		`
import os, socket, sys
os.makedirs(sys.argv[1], exist_ok=True); os.chdir(sys.argv[1])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('notify'); print('bound', flush=True)
print(s.recv(100).decode(), flush=True)`,
		`${dir}/${'long/'.repeat(30)}`,
	]);
	let said = '';
	const told = Promise.withResolvers<void>();
	const bound = Promise.withResolvers<void>();
	listener.stdout!.on('data', (text: string) => {
		// A line may come in pieces.
		said += text;
		if (said.startsWith('bound\n')) bound.resolve();
		if (said.split('\n').length === 3) told.resolve();
	});
	await bound.promise;
	await kernel.notifySystemd(`${dir}/${'long/'.repeat(30)}notify`, 'READY=1');
	await told.promise;
	t.is(said, 'bound\nREADY=1\n');
});

const allowAll: SeccompProfile = {defaultAction: 'SCMP_ACT_ALLOW', defaultErrno: null, architectures: [], syscalls: []};

test('compileSeccomp: what is wrong is named', async t => {
	const rule = {names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errno: 1, args: []};
	const wrong: [SeccompProfile, RegExp][] = [
		[{...allowAll, defaultAction: 'SCMP_ACT_MAYBE'}, /defaultAction "SCMP_ACT_MAYBE"/],
		[{...allowAll, architectures: ['SCMP_ARCH_PDP11']}, /architectures: "SCMP_ARCH_PDP11"/],
		[{...allowAll, syscalls: [{...rule, action: 'SCMP_ACT_NOTIFY'}]}, /SCMP_ACT_NOTIFY is not supported/],
		[{...allowAll, syscalls: [{...rule, args: [{index: 6, value: 0n, valueTwo: 0n, op: 'SCMP_CMP_EQ'}]}]}, /index must be 0 to 5/],
		[{...allowAll, syscalls: [{...rule, args: [{index: 0, value: 0n, valueTwo: 0n, op: 'EQ'}]}]}, /op "EQ"/],
	];
	for (const [profile, message] of wrong) await t.throwsAsync(kernel.compileSeccomp(profile), {instanceOf: InvalidArgumentError, message});
	const unknown = await kernel.compileSeccomp({...allowAll, syscalls: [{...rule, names: ['no_such_call']}]});
	t.deepEqual(unknown, await kernel.compileSeccomp(allowAll));
});

test('compileSeccomp: the kernel takes the program and it answers as the profile says', async t => {
	const args = (value: bigint, op = 'SCMP_CMP_EQ'): SeccompProfile['syscalls'][number]['args'] => [{index: 0, value, valueTwo: 0n, op}];
	const program = await kernel.compileSeccomp({
		defaultAction: 'SCMP_ACT_ALLOW',
		defaultErrno: null,
		architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
		syscalls: [
			{names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errno: 95, args: []},
			{names: ['rmdir', 'rmdir'], action: 'SCMP_ACT_ERRNO', errno: null, args: []},
			{names: ['lseek'], action: 'SCMP_ACT_ERRNO', errno: 5, args: args(77n)},
			// Two conditions on one argument are alternatives.
			{names: ['close'], action: 'SCMP_ACT_ERRNO', errno: 6, args: [...args(78n), ...args(79n)]},
		],
	});
	t.is(program.length % 8, 0);
	t.true(program.length / 8 > 10 && program.length / 8 < 200);
	const {stdout} = await run('python3', [
		'-c',
		`
import ctypes, os, sys
code = bytes.fromhex(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
class Prog(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
buffer = ctypes.create_string_buffer(code, len(code))
prog = Prog(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0
def errno(call, *a):
    try: call(*a)
    except OSError as e: return e.errno
    return 0
print(errno(os.mkdir, '/no/x'), errno(os.rmdir, '/no/x'), errno(os.lseek, 77, 0, 0), errno(os.lseek, 76, 0, 0), errno(os.close, 78), errno(os.close, 79), errno(os.close, 80))
`,
		Buffer.from(program).toString('hex'),
	]);
	t.is(stdout.trim(), '95 1 5 9 6 6 9');
});

test('lockFile: one holder at a time, over any number of opens', async t => {
	const dir = await makeDir(t);
	const lock = await kernel.lockFile(`${dir}/lock`);
	t.not(lock, null);
	t.is(await kernel.lockFile(`${dir}/lock`), null);
	lock?.release();
	lock?.release();
	const again = await kernel.lockFile(`${dir}/lock`);
	t.not(again, null);
	again?.release();
	t.is((await stat(`${dir}/lock`)).mode & 0o777, 0o600);
	await symlink(`${dir}/elsewhere`, `${dir}/link`);
	const error = await t.throwsAsync(kernel.lockFile(`${dir}/link`), {instanceOf: SyscallError});
	t.is(error.errno, 40);
});

test('dialPod connects to localhost of another network namespace, by IPv4 or IPv6, and says who does not listen', async t => {
	const dir = await makeDir(t);
	const netns = `${dir}/net`;
	await writeFile(netns, '');
	await run('unshare', [`--net=${netns}`, 'ip', 'link', 'set', 'lo', 'up']);
	t.teardown(async () => await run('umount', ['-l', netns]));
	const script = `
import socket, sys
servers = []
for family, address, port in ((socket.AF_INET, '127.0.0.1', 7001), (socket.AF_INET6, '::1', 7002)):
    server = socket.socket(family); server.bind((address, port)); server.listen(); servers.append(server)
print('ready', flush=True)
for server in servers:
    peer, _ = server.accept(); peer.sendall(b'from ' + str(server.getsockname()[1]).encode()); peer.close()
`;
	const child = spawn('nsenter', [`--net=${netns}`, 'python3', '-c', script], {stdio: ['ignore', 'pipe', 'inherit']});
	t.teardown(() => child.kill('SIGKILL'));
	await once(child.stdout, 'data');
	for (const port of [7001, 7002]) {
		const socket = await kernel.dialPod(netns, port, 10_000);
		let text = '';
		for await (const chunk of socket) text += String(chunk);
		t.is(text, `from ${port}`);
	}
	const refused = await t.throwsAsync(kernel.dialPod(netns, 7003, 10_000), {instanceOf: SyscallError, message: /localhost :7003: ECONNREFUSED/});
	t.is(refused.errno, 111);
	await t.throwsAsync(kernel.dialPod(`${dir}/missing`, 7001, 10_000), {instanceOf: SyscallError, message: /enter network namespace/});
	const server = createServer(socket => void socket.end('host'));
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => void server.close());
	const socket = await kernel.dialPod(null, (server.address() as AddressInfo).port, 10_000);
	t.is(String((await once(socket, 'data'))[0]), 'host');
	socket.destroy();
});
