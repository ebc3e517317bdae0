import test from 'ava';
import {InvalidArgumentError, SyscallError} from '../../base/errors.js';
import type {CgroupWrite} from '../../native/native.js';
import {changeCgroup} from './change.js';

const ENOENT = 2;
const EBUSY = 16;
const EINVAL = 22;

/** Files with a rule of their own: what a write must fulfil, else its errno. */
class FakeFiles {
	readonly writes: string[] = [];
	readonly files: Map<string, string>;
	readonly #refuse: (name: string, value: string, files: ReadonlyMap<string, string>) => number;

	constructor(files: Readonly<Record<string, string>>, refuse: FakeFiles['refuses'] = () => 0) {
		this.files = new Map(Object.entries(files));
		this.#refuse = refuse;
	}
	declare readonly refuses: (name: string, value: string, files: ReadonlyMap<string, string>) => number;

	async readFiles(paths: readonly string[]): Promise<readonly (Uint8Array | null)[]> {
		return paths.map(path => (this.files.has(path.slice(3)) ? Buffer.from(`${this.files.get(path.slice(3))}\n`) : null));
	}

	async writeFile(path: string, value: string): Promise<void> {
		const name = path.slice(3);
		const errno = this.files.has(name) ? this.#refuse(name, value, this.files) : ENOENT;
		if (errno !== 0) throw new SyscallError('write', errno, path);
		this.files.set(name, value);
		this.writes.push(`${name} ${value}`);
	}
}

const write = (name: string, value: string, required = true): CgroupWrite => ({path: `/c/${name}`, value, required});
const nothing = async (): Promise<void> => {};
const LIMIT = 'memory.limit_in_bytes';
const MEMSW = 'memory.memsw.limit_in_bytes';
const PERIOD = 'cpu.cfs_period_us';
const QUOTA = 'cpu.cfs_quota_us';

/** As memcontrol-v1 has it: memory never above memory and swap. */
const memoryRule = (name: string, value: string, files: ReadonlyMap<string, string>): number => {
	const state = new Map([...files, [name, value]]);
	return Number(state.get(LIMIT)) > Number(state.get(MEMSW)) ? EINVAL : 0;
};

for (const [from, to] of [
	[100, 200],
	[200, 100],
	[100, 150],
] as const) {
	test(`memory and swap go from ${from} to ${to} without a step that the kernel refuses`, async t => {
		const files = new FakeFiles({[LIMIT]: String(from), [MEMSW]: String(from)}, memoryRule);
		await changeCgroup(files, [write(LIMIT, String(to)), write(MEMSW, String(to))], nothing);
		t.deepEqual([files.files.get(LIMIT), files.files.get(MEMSW)], [String(to), String(to)]);
	});
}

for (const [from, to] of [
	[
		[50, 100],
		[5, 10],
	],
	[
		[5, 10],
		[50, 100],
	],
	[
		[10, 100],
		[50, 100],
	],
	[
		[50, 100],
		[10, 20],
	],
] as const) {
	test(`quota/period go from ${from.join('/')} to ${to.join('/')} under a parent with half a CPU`, async t => {
		const rule = (name: string, value: string, files: ReadonlyMap<string, string>): number => {
			const state = new Map([...files, [name, value]]);
			return Number(state.get(QUOTA)) / Number(state.get(PERIOD)) > 0.5 ? EINVAL : 0;
		};
		const files = new FakeFiles({[QUOTA]: String(from[0]), [PERIOD]: String(from[1])}, rule);
		await changeCgroup(files, [write(PERIOD, String(to[1])), write(QUOTA, String(to[0]))], nothing);
		t.deepEqual([files.files.get(QUOTA), files.files.get(PERIOD)], [String(to[0]), String(to[1])]);
	});
}

test('after a refused write all before it are as they were, and the error names the field', async t => {
	const files = new FakeFiles({'cpu.shares': '512', [LIMIT]: '100', [MEMSW]: '100', 'cpuset.cpus': ''}, (name, value) =>
		name === LIMIT && value === '50' ? EBUSY : 0,
	);
	const before = new Map(files.files);
	const error = await t.throwsAsync(
		changeCgroup(files, [write('cpu.shares', '1024'), write('cpuset.cpus', '0'), write(LIMIT, '50'), write(MEMSW, '50')], async () => t.fail('recorded')),
		{instanceOf: InvalidArgumentError},
	);
	t.is(error.details['field'], 'memory_limit_in_bytes');
	t.deepEqual(files.writes.slice(2), ['cpuset.cpus \n', 'cpu.shares 512']);
	t.is(files.files.get('cpu.shares'), before.get('cpu.shares'));
});

test('what cannot be recorded is taken back; each line of a file of several', async t => {
	const files = new FakeFiles({'io.max': '8:0 rbps=1\n8:16 rbps=2', 'pids.max': 'max'});
	const failed = changeCgroup(files, [write('io.max', '8:0 rbps=9'), write('pids.max', '5')], () => Promise.reject(new Error('the disk is full')));
	await t.throwsAsync(failed, {message: 'the disk is full'});
	t.deepEqual(files.writes, ['io.max 8:0 rbps=9', 'pids.max 5', 'pids.max max', 'io.max 8:0 rbps=1', 'io.max 8:16 rbps=2']);
});

test('a value that is there is not written again; a file that is missing is passed over or refused, as the plan says', async t => {
	const files = new FakeFiles({'cpu.shares': '512'});
	let recorded = 0;
	await changeCgroup(files, [write('cpu.shares', '512'), write(MEMSW, '5', false)], async () => void recorded++);
	t.deepEqual(files.writes, []);
	t.is(recorded, 1);
	await t.throwsAsync(changeCgroup(files, [write('memory.high', '5')], nothing), {
		instanceOf: InvalidArgumentError,
		message: 'unified["memory.high"]: this cgroup has no memory.high',
	});
});

test('an undo that fails is said with the error', async t => {
	let broken = false;
	const files = new FakeFiles({'cpu.shares': '2', 'pids.max': '7'}, name => {
		if (name === 'pids.max') broken = true;
		return broken ? EINVAL : 0;
	});
	await t.throwsAsync(changeCgroup(files, [write('cpu.shares', '3'), write('pids.max', '8')], nothing), {
		message: /pids\.max.*not wholly taken back: .*cpu\.shares/,
	});
});
