import {mkdir, readFile} from 'node:fs/promises';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import test from 'ava';
import {makeDir, run, unpack} from './unpack-rig.js';

/** A tree of all that an archive can hold, from a seed: python's random and os say more of Linux than node's fs. */
const MAKE_TREE = String.raw`
import os, random, sys
top, seed = sys.argv[1], int(sys.argv[2])
r = random.Random(seed)
os.umask(0)
dirs, files = [top], []
def name():
    kind = r.random()
    length = 255 if kind < 0.02 else r.randint(1, 120) if kind < 0.2 else r.randint(1, 12)
    pick = bytes(range(1, 256)).replace(b'/', b'') if kind > 0.9 else b'abcXYZ019._- '
    return bytes(r.choice(pick) for _ in range(length))
def dress(path, link):
    os.chown(path, *[r.choice([0, 0, 0, 1, 1000, 65534, 3000000000]) for _ in range(2)], follow_symlinks=False)
    if not link: os.chmod(path, r.choice([0o644, 0o755, 0, 0o7777, 0o4755, 0o2755, 0o1777, r.randrange(0o10000)]))
    if os.path.isdir(path) and not link or os.path.isfile(path) and not link:
        for _ in range(r.choice([0, 0, 0, 1, 3])):
            os.setxattr(path, b'user.' + bytes(r.choice(b'abcdef') for _ in range(5)), r.randbytes(r.randint(0, 200)))
        if os.path.isfile(path) and r.random() < 0.1:
            os.setxattr(path, 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))
for _ in range(300):
    at = r.choice(dirs)
    if len(at) > 3000: continue
    path = os.path.join(os.fsencode(at), name())
    if os.path.lexists(path) or path.rsplit(b'/', 1)[1] in (b'.', b'..') or path.rsplit(b'/', 1)[1].startswith(b'.wh.'): continue
    kind = r.random()
    if kind < 0.25: os.mkdir(path); dirs.append(path)
    elif kind < 0.6:
        with open(path, 'wb') as f: f.write(r.randbytes(r.choice([0, 1, 511, 512, 513, 10000, 300000])))
        files.append(path)
    elif kind < 0.7 and files:
        os.link(r.choice(files), path, follow_symlinks=False); continue
    elif kind < 0.85:
        os.symlink(bytes(r.choice(b'abc/.') for _ in range(r.choice([1, 20, 99, 100, 101, 3000]))), path)
        dress(path, True); files.append(path); continue
    elif kind < 0.92: os.mkfifo(path)
    else: os.mknod(path, r.choice([0o020600, 0o060600]), os.makedev(r.randint(1, 4095), r.randint(0, 1048575)))
    dress(path, False)
for at, ds, fs in os.walk(os.fsencode(top), topdown=False):
    for path in [os.path.join(at, x) for x in fs + ds] + ([os.fsencode(top)] if at == os.fsencode(top) else []):
        t = r.choice([0, 1, 1700000000123456789, r.randrange(-2**31, 2**33) * 10**9 + r.randrange(10**9)])
        os.utime(path, ns=(t, t), follow_symlinks=False)
`;

/** Everything of a tree that matters, a line per path; hard links by the least of their names. */
const DESCRIBE_TREE = String.raw`
import hashlib, os, stat, sys
top = os.fsencode(sys.argv[1])
paths, first = [b''], {}
for at, ds, fs in os.walk(top): paths += [os.path.relpath(os.path.join(at, x), top) for x in ds + fs]
for p in sorted(paths):
    full = os.path.join(top, p) if p else top
    s = os.lstat(full)
    what = os.readlink(full) if stat.S_ISLNK(s.st_mode) else hashlib.sha256(open(full, 'rb').read()).hexdigest() if stat.S_ISREG(s.st_mode) else ''
    size = s.st_size if stat.S_ISREG(s.st_mode) else 0
    group = p if stat.S_ISDIR(s.st_mode) else first.setdefault((s.st_dev, s.st_ino), p)
    attributes = sorted((n, os.getxattr(full, n, follow_symlinks=False).hex()) for n in os.listxattr(full, follow_symlinks=False))
    print(p, oct(s.st_mode), s.st_uid, s.st_gid, size, what, s.st_rdev, 0 if stat.S_ISDIR(s.st_mode) else s.st_nlink, group, s.st_mtime_ns, attributes)
`;

for (const format of ['posix', 'gnu'] as const) {
	test(`a random tree unpacks as GNU tar extracts it (${format})`, async t => {
		const dir = await makeDir(t);
		for (let seed = 1; seed <= 5; seed++) {
			const [tree, expected, archive] = [`${dir}/tree${seed}`, `${dir}/expected${seed}`, `${dir}/${seed}.tar`];
			await mkdir(tree);
			await mkdir(expected);
			await run('python3', ['-c', MAKE_TREE, tree, String(seed * 1000 + Number(format === 'gnu'))]);
			const xattrs = format === 'posix' ? ['--xattrs', '--xattrs-include=*'] : [];
			await run('tar', [`--format=${format}`, '--numeric-owner', ...xattrs, '-C', tree, '-cf', archive, '.']);
			await run('tar', ['--numeric-owner', '--same-owner', '-p', ...xattrs, '-C', expected, '-xf', archive]);
			const wanted = (await run('python3', ['-c', DESCRIBE_TREE, expected], {maxBuffer: 1 << 26})).stdout.split('\n');
			const bytes = await readFile(archive);
			for (const [compression, stream] of [
				['none', bytes],
				['gzip', gzipSync(bytes, {level: 1})],
				['zstd', zstdCompressSync(bytes)],
			] as const) {
				const actual = `${dir}/${compression}${seed}`;
				await unpack(actual, stream, {compression, pieceBytes: 1000 + seed * 7777});
				const found = (await run('python3', ['-c', DESCRIBE_TREE, actual], {maxBuffer: 1 << 26})).stdout.split('\n');
				t.deepEqual(found, wanted, `seed ${seed}`);
			}
			t.true(wanted.length > 100);
		}
	});
}
