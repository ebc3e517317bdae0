import test from 'ava';
import {SyscallError} from '../../base/errors.js';
import {openProjectQuota, ProjectQuota} from './project-quota.js';

/** A filesystem that counts projects. */
function fakeKernel() {
	const assigned = new Map<string, number>();
	const taken = new Map<number, number>();
	let failing: string | null = null;
	const kernel = {
		assignProject: async (path: string, project: number) => {
			if (path === failing) throw new SyscallError('set project of', 95, path);
			assigned.set(path, project);
		},
		projectUsages: async (_: string, projects: readonly number[]) => projects.map(id => ({bytes: 0, inodes: taken.get(id) ?? 0})),
	};
	return {
		kernel,
		assigned,
		taken,
		fail: (path: string) => {
			failing = path;
		},
	};
}

test('each layer has a project of its own, both of its directories the same one, out of the range of the kubelet and of others', async t => {
	const {kernel, assigned} = fakeKernel();
	const quota = new ProjectQuota('/layers', kernel);
	const [a, b] = [await quota.assign(['/a/upper', '/a/work']), await quota.assign(['/b/upper', '/b/work'])];
	t.not(a, b);
	t.true(a >= 0x4200_0000 && a < 0x4300_0000);
	t.deepEqual(
		[...assigned],
		[
			['/a/upper', a],
			['/a/work', a],
			['/b/upper', b],
			['/b/work', b],
		],
	);
});

test('an id that somebody uses is passed over: of another layer, of an earlier daemon, or of somebody else on the filesystem', async t => {
	const {kernel, taken} = fakeKernel();
	const quota = new ProjectQuota('/layers', kernel);
	const first = await quota.assign(['/a']);
	quota.take(first + 1);
	taken.set(first + 2, 7);
	t.is(await quota.assign(['/b']), first + 3);
});

test('what the filesystem refuses is said, and the id is free again', async t => {
	const {kernel, fail} = fakeKernel();
	const quota = new ProjectQuota('/layers', kernel);
	fail('/a/work');
	const error = await t.throwsAsync(quota.assign(['/a/upper', '/a/work']), {instanceOf: SyscallError});
	t.is(error.errno, 95);
	t.true((await quota.assign(['/b'])) > 0);
});

test('a filesystem without project quota is told to the operator; another fault is not taken for that', async t => {
	const without = {
		...fakeKernel().kernel,
		projectUsages: async () => {
			throw new SyscallError('read project quota of', 3, '/layers');
		},
	};
	const {quota, feature} = await openProjectQuota('/layers', without);
	t.is(quota, null);
	t.like(feature, {name: 'project quota', used: false});
	t.regex(feature.reason, /ESRCH.*counted in the background.*prjquota/);
	const broken = {
		...without,
		projectUsages: async () => {
			throw new TypeError('bug');
		},
	};
	await t.throwsAsync(openProjectQuota('/layers', broken), {instanceOf: TypeError});
	t.true((await openProjectQuota('/layers', fakeKernel().kernel)).feature.used);
});
