import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {CorruptError, InvalidArgumentError, UnavailableError, UnimplementedError} from '../../base/errors.js';
import type {SeccompProfile} from '../../native/native.js';
import {SeccompCache} from './seccomp.js';
import {chooseRules, parseProfile} from './seccomp-profile.js';

const context = {capabilities: ['CAP_CHOWN'], arch: 'x64', kernelRelease: '6.1.0-9-amd64'};
const parse = (profile: object) => parseProfile('p.json', JSON.stringify(profile));
const allow = (names: string[], changes: object = {}) => ({names, action: 'SCMP_ACT_ALLOW', ...changes});
const denying = (...syscalls: object[]) => ({defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38, syscalls});
const chosen = (profile: object, changes: Partial<typeof context> = {}): string[] =>
	chooseRules(parse(profile), {...context, ...changes}).syscalls.flatMap(({names}) => names);

for (const [what, changes, holds] of [
	['nothing', {}, true],
	['a capability that it has', {includes: {caps: ['CAP_CHOWN']}}, true],
	['a capability that it lacks', {includes: {caps: ['CAP_CHOWN', 'CAP_BPF']}}, false],
	['not a capability that it has', {excludes: {caps: ['CAP_BPF', 'CAP_CHOWN']}}, false],
	['not a capability that it lacks', {excludes: {caps: ['CAP_BPF']}}, true],
	['this architecture', {includes: {arches: ['amd64', 'x32']}}, true],
	['another architecture', {includes: {arches: ['arm64']}}, false],
	['not this architecture', {excludes: {arches: ['amd64']}}, false],
	['an older kernel', {includes: {minKernel: '4.8'}}, true],
	['this kernel', {includes: {minKernel: '6.1'}}, true],
	['a newer kernel', {includes: {minKernel: '6.10'}}, false],
	['not this kernel or newer', {excludes: {minKernel: '5.0'}}, false],
] as const) {
	test(`a rule for ${what} ${holds ? 'holds' : 'does not hold'}`, t => t.deepEqual(chosen(denying(allow(['bpf'], changes))), holds ? ['bpf'] : []));
}

test('rules are taken with their conditions, exact to 64 bits', t => {
	const text = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"name":"clone","names":["unshare"],"action":"SCMP_ACT_ERRNO","errno":"EINVAL","args":[{"index":0,"value":18446744073709551615,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"},null]}]}`;
	t.deepEqual(chooseRules(parseProfile('p', text), context), {
		defaultAction: 'SCMP_ACT_ERRNO',
		defaultErrno: null,
		architectures: [],
		syscalls: [
			{
				names: ['unshare', 'clone'],
				action: 'SCMP_ACT_ERRNO',
				errno: 22,
				args: [{index: 0, value: 18_446_744_073_709_551_615n, valueTwo: 1n, op: 'SCMP_CMP_MASKED_EQ'}],
			},
		],
	});
});

test('a rule that repeats the default is left out', t => {
	t.deepEqual(chosen(denying({names: ['a'], action: 'SCMP_ACT_ERRNO', errnoRet: 38}, {names: ['b'], action: 'SCMP_ACT_ERRNO', errnoRet: 1})), ['b']);
});

test("architectures: as listed, or this machine's line of archMap", t => {
	const archMap = [
		{architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM']},
		{architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32']},
	];
	t.deepEqual(chooseRules(parse({...denying(), archMap}), context).architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
	t.deepEqual(chooseRules(parse({...denying(), archMap}), {...context, arch: 'arm64'}).architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
	t.deepEqual(chooseRules(parse({...denying(), architectures: ['SCMP_ARCH_X86']}), context).architectures, ['SCMP_ARCH_X86']);
});

for (const [text, message] of [
	['{', /^seccomp profile p\.json is not JSON/],
	['[]', /^seccomp profile p\.json: /],
	['{}', /^seccomp profile p\.json: defaultAction: /],
	['{"defaultAction":"SCMP_ACT_NOPE"}', /^seccomp profile p\.json: defaultAction: /],
	['{"defaultAction":"SCMP_ACT_ALLOW","sycalls":[]}', /^seccomp profile p\.json: sycalls: /],
	['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"]}]}', /^seccomp profile p\.json: syscalls\.0\.action: /],
	['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_KILL"}]}', /syscalls\.0: no names/],
	['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}]}', /syscalls\.0\.errnoRet: /],
	['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errno":"ENOPE"}]}', /"ENOPE" is no errno/],
	[
		'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}',
		/syscalls\.0\.args\.0\.index: /,
	],
	[
		'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_KILL","includes":{"caps":["CAP_NOPE"]}}]}',
		/syscalls\.0\.includes\.caps\.0: /,
	],
	[
		'{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}',
		/architectures and archMap are both set/,
	],
	['{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_NOPE"]}', /flags\.0: /],
] as const) {
	test(`the profile ${text} is refused`, t => {
		const error = t.throws(() => parseProfile('p.json', text), {instanceOf: InvalidArgumentError, message});
		t.is(error.details['path'], 'p.json');
	});
}

test('SCMP_ACT_NOTIFY is not implemented', t => {
	t.throws(() => parse(denying({names: ['mount'], action: 'SCMP_ACT_NOTIFY'})), {
		instanceOf: UnimplementedError,
		message: 'seccomp profile p.json: SCMP_ACT_NOTIFY is not implemented',
	});
});

/** A cache over a compiler that writes the rules' names as the program. */
async function setUp(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), 'berth-seccomp-'));
	t.teardown(() => rm(dir, {recursive: true, force: true}));
	const profile = join(dir, 'default.json');
	await writeFile(profile, JSON.stringify(denying(allow(['read']), allow(['bpf'], {includes: {caps: ['CAP_BPF']}}))));
	const compiled: SeccompProfile[] = [];
	const kernel = {
		failing: false,
		compileSeccomp: async (rules: SeccompProfile) => {
			compiled.push(rules);
			if (kernel.failing) throw new InvalidArgumentError('libseccomp says no');
			return Buffer.from(rules.syscalls.flatMap(({names}) => names).join());
		},
	};
	const programs = join(dir, 'programs');
	return {dir, profile, programs, compiled, kernel, cache: new SeccompCache(kernel, profile, programs)};
}

const BPF = 1n << 39n;
const DEFAULT = {kind: 'default'} as const;

test('unconfined compiles nothing', async t => {
	const {cache, compiled} = await setUp(t);
	t.is(await cache.choose({kind: 'unconfined'}, 0n), null);
	t.is(compiled.length, 0);
});

test('one profile and capability set is compiled once, also when many ask at the same time', async t => {
	const {cache, compiled} = await setUp(t);
	const all = await Promise.all([0n, 0n, 1n, BPF].map(bounding => cache.choose(DEFAULT, bounding)));
	t.is(compiled.length, 2);
	t.deepEqual(
		all.map(program => String(program?.program)),
		['read', 'read', 'read', 'read,bpf'],
	);
	t.is(all[0]?.key, all[1]?.key);
	t.not(all[0]?.key, all[3]?.key);
});

test('a failed compile is not remembered', async t => {
	const {cache, kernel, compiled} = await setUp(t);
	kernel.failing = true;
	await t.throwsAsync(cache.choose(DEFAULT, 0n), {instanceOf: InvalidArgumentError, message: 'libseccomp says no'});
	kernel.failing = false;
	t.is(String((await cache.choose(DEFAULT, 0n))?.program), 'read');
	t.is(compiled.length, 2);
});

test('a program is found again by a later daemon, and a changed one is refused', async t => {
	const {cache, kernel, profile, programs} = await setUp(t);
	const key = (await cache.choose(DEFAULT, 0n))?.key ?? '';
	const later = (): SeccompCache => new SeccompCache(kernel, profile, programs);
	t.is(String(await later().program(key)), 'read');
	const [file = ''] = await readdir(programs);
	await writeFile(join(programs, file), 'write');
	await t.throwsAsync(later().program(key), {instanceOf: CorruptError});
	await rm(join(programs, file));
	await t.throwsAsync(later().program(key), {instanceOf: UnavailableError, message: /^seccomp program sha256:.* is lost/});
	t.is(String(await cache.program(key)), 'read');
});

test('a key that could lead out of the directory is refused', async t => {
	const {cache} = await setUp(t);
	await t.throwsAsync(cache.program('sha256:../../etc/passwd'), {instanceOf: CorruptError});
});

test('a Localhost profile is read anew for each container: it may have changed', async t => {
	const {dir, cache} = await setUp(t);
	const ref = join(dir, 'mine.json');
	await writeFile(ref, JSON.stringify(denying(allow(['one']))));
	t.is(String((await cache.choose({kind: 'localhost', ref}, 0n))?.program), 'one');
	await writeFile(ref, JSON.stringify(denying(allow(['two']))));
	t.is(String((await cache.choose({kind: 'localhost', ref}, 0n))?.program), 'two');
});

test('a profile that cannot be read is named', async t => {
	const {dir, cache} = await setUp(t);
	const ref = join(dir, 'absent.json');
	await t.throwsAsync(cache.choose({kind: 'localhost', ref}, 0n), {
		instanceOf: InvalidArgumentError,
		message: new RegExp(`^seccomp profile ${ref} cannot be read: ENOENT`),
	});
	await writeFile(ref, ' '.repeat((1 << 20) + 1));
	await t.throwsAsync(cache.choose({kind: 'localhost', ref}, 0n), {instanceOf: InvalidArgumentError, message: /longer than 1048576 bytes/});
});

test('a default profile that is put right is read again', async t => {
	const {profile, kernel} = await setUp(t);
	const good = await readFile(profile);
	await writeFile(profile, '{');
	const cache = new SeccompCache(kernel, profile);
	await t.throwsAsync(cache.choose(DEFAULT, 0n), {instanceOf: InvalidArgumentError});
	await writeFile(profile, good);
	t.is(String((await cache.choose(DEFAULT, 0n))?.program), 'read');
});
