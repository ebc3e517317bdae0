import {mkdir, mkdtemp, rm, stat, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError} from '../../base/errors.js';
import {containerRecord, sandboxRecord} from '../fake-records.js';
import type {LaunchPlan} from '../spec/launch-plan.js';
import type {MountFacts} from './record.js';
import {prepareHostPaths} from './host-paths.js';

const LABEL = 'system_u:object_r:container_file_t:s0';

async function prepare(t: ExecutionContext, mountLabel: string | null, toMounts: (dir: string) => readonly Partial<MountFacts>[]) {
	const dir = await mkdtemp(join(tmpdir(), 'host-paths-'));
	t.teardown(() => rm(dir, {recursive: true}));
	await symlink('real', join(dir, 'link'));
	const labelled: string[] = [];
	const kernel = {
		labelTree: async (path: string, label: string) => void labelled.push(`${path.slice(dir.length)} ${label}`),
		makeHostPaths: async (logDir: string, paths: readonly string[]) => {
			for (const path of [logDir, ...paths]) await mkdir(path, {recursive: true});
		},
	};
	const plain = {containerPath: '/x', readonly: false, selinuxRelabel: false, propagation: 0, recursiveReadOnly: false, mountOptions: []} as const;
	const mounts = toMounts(dir).map((mount): MountFacts => ({hostPath: '', ...plain, ...mount}));
	const record = {...containerRecord('c', sandboxRecord('s')), logPath: join(dir, 'logs/c/0.log'), mounts};
	await prepareHostPaths({kernel} as never, {record, mountLabel} as unknown as LaunchPlan);
	return {dir, labelled};
}

test('directories of log and host paths are made', async t => {
	const {dir, labelled} = await prepare(t, null, at => [{hostPath: join(at, 'a/b'), selinuxRelabel: true}, {hostPath: at}]);
	for (const made of ['a/b', 'logs/c']) t.true((await stat(join(dir, made))).isDirectory());
	t.deepEqual(labelled, [], 'without SELinux, or a label, nothing is labelled');
});

test('selinux_relabel labels what a host path leads to, where the container has a label, and nothing that is not asked for', async t => {
	const {labelled} = await prepare(t, LABEL, dir => [
		{hostPath: join(dir, 'real'), selinuxRelabel: false},
		{hostPath: join(dir, 'link'), selinuxRelabel: true},
		{hostPath: join(dir, 'new'), selinuxRelabel: true},
		{hostPath: '', selinuxRelabel: true},
	]);
	t.deepEqual(labelled, [`/real ${LABEL}`, `/new ${LABEL}`]);
});

test("the node's own directories are not relabelled", async t => {
	for (const hostPath of ['/', '/etc', '/usr/', '/var/lib/../lib'])
		await t.throwsAsync(
			prepare(t, LABEL, () => [{hostPath, selinuxRelabel: true}]),
			{instanceOf: InvalidArgumentError, message: /^mounts\[0\]\.selinux_relabel: /},
		);
});
