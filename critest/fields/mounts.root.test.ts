import {chown, mkdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {Mount} from '../../proto/cri.js';
import {run, runOk} from '../rig/command.js';
import {createContainer, statusOf, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {MODE, podLinux, says, toFacts, useFields, withSecurity, type FieldRig} from './rig.js';

const fields = useFields(test);
/** CRI v1: MountPropagation. */
const PROPAGATION = {PRIVATE: 0, HOST_TO_CONTAINER: 1, BIDIRECTIONAL: 2} as const;
const ids = (container_id: number, host_id: number, length: number) => ({container_id, host_id, length});

async function scratch(rig: FieldRig, name: string): Promise<string> {
	const dir = join(rig.daemon.places.scratchDir, rig.handler.name, name);
	await mkdir(dir, {recursive: true});
	return dir;
}

/** A tmpfs of the test's own with another one in it, both gone afterwards. */
async function withMounted(rig: FieldRig, name: string, propagation: 'shared' | 'private', work: (dir: string) => Promise<void>): Promise<void> {
	const dir = await scratch(rig, name);
	await runOk(['mount', '-t', 'tmpfs', 'berth-test', dir]);
	try {
		await runOk(['mount', `--make-${propagation}`, dir]);
		await mkdir(join(dir, 'sub'));
		await runOk(['mount', '-t', 'tmpfs', 'berth-test', join(dir, 'sub')]);
		await work(dir);
	} finally {
		await run(['umount', '-R', '-l', dir]);
	}
}

fields('host paths: directories, files, through symbolic links, missing ones made; targets made; read-only and options', async (t, rig) => {
	const dir = await scratch(rig, 'paths');
	await writeFile(join(dir, 'file'), 'content\n');
	await symlink('file', join(dir, 'link'));
	await writeFile(join(dir, 'run'), '#!/bin/sh\necho ran\n', {mode: 0o4755});
	await runOk(['mknod', '-m', '666', join(dir, 'null'), 'c', '1', '3']);
	const at = (host: string, container_path: string, more: Mount = {}): Mount => ({host_path: join(dir, host), container_path, ...more});
	const mounts = [
		at('', '/made/deep/here'),
		at('file', '/etc/one-file'),
		at('link', '/linked'),
		at('not/there/yet', '/missing'),
		at('', '/ro', {readonly: true}),
		at('', '/noexec', {mount_options: ['noexec']}),
		at('', '/nosuid', {mount_options: ['nosuid']}),
		at('', '/nodev', {mount_options: ['nodev']}),
	];
	const pod = await rig.pod('paths');
	const script = [
		'echo made=$(cat /made/deep/here/file)',
		'echo file=$(cat /etc/one-file)',
		'echo linked=$(cat /linked)',
		says('missing', 'touch /missing/mark'),
		says('ro', 'touch /ro/mark'),
		says('exec', '/made/deep/here/run >/dev/null'),
		says('noexec', '/noexec/run >/dev/null'),
		says('dev', 'echo x > /made/deep/here/null'),
		says('nodev', 'echo x > /nodev/null'),
		'for at in ro noexec nosuid nodev made/deep/here; do echo $at=$(grep " /$at " /proc/self/mountinfo | cut -d" " -f6); done',
	].join('\n');
	const facts = toFacts(await rig.run(pod, script, {mounts}));
	t.like(facts, {made: 'content', file: 'content', linked: 'content', missing: 'yes', exec: 'yes', dev: 'yes'});
	t.regex(facts['ro'] ?? '', /^ro\b/);
	for (const option of ['noexec', 'nosuid', 'nodev']) {
		t.regex(facts[option] ?? '', new RegExp(`\\b${option}\\b`));
		t.notRegex(facts['made/deep/here'] ?? '', new RegExp(`\\b${option}\\b`));
	}
	t.true((await stat(join(dir, 'not/there/yet/mark'))).isFile());
	await t.throwsAsync(stat(join(dir, 'mark')));
	await rig.remove(pod);
});

fields('readonly leaves what is mounted below writable, recursive_read_only does not; status shows mounts as asked', async (t, rig) => {
	await withMounted(rig, 'rro', 'private', async dir => {
		const mounts: Mount[] = [
			{host_path: dir, container_path: '/ro', readonly: true},
			{host_path: dir, container_path: '/rro', readonly: true, recursive_read_only: true, mount_options: ['noexec']},
		];
		const pod = await rig.pod('rro');
		const id = await rig.start(pod, {mounts});
		const facts = toFacts(await rig.exec(id, ['/ro', '/ro/sub', '/rro', '/rro/sub'].map(at => says(at, `touch ${at}/x`)).join('\n')));
		t.deepEqual(facts, {'/ro': 'no', '/ro/sub': 'yes', '/rro': 'no', '/rro/sub': 'no'});
		const shown = await statusOf(rig.cri, id);
		t.like(shown.mounts, [
			{host_path: dir, container_path: '/ro', readonly: true, recursive_read_only: false, propagation: 0, mount_options: []},
			{host_path: dir, container_path: '/rro', readonly: true, recursive_read_only: true, mount_options: ['noexec']},
		] as never);
		t.is(shown.mounts.length, 2);
		await rig.remove(pod);
	});
});

fields(
	'propagation: what the node mounts later comes in with HOST_TO_CONTAINER, what the container mounts goes out with BIDIRECTIONAL, neither with PRIVATE',
	async (t, rig) => {
		await withMounted(rig, 'propagation', 'shared', async dir => {
			for (const name of ['late', 'out', 'own']) await mkdir(join(dir, name));
			const pod = await rig.pod('propagation', podLinux({privileged: true}));
			const mount = (propagation: number): Mount => ({host_path: dir, container_path: '/mnt', propagation: propagation as never});
			const privileged = withSecurity({privileged: true});
			const isolated = await rig.start(pod, {mounts: [mount(PROPAGATION.PRIVATE)], ...privileged});
			const slave = await rig.start(pod, {mounts: [mount(PROPAGATION.HOST_TO_CONTAINER)], ...privileged});
			const shared = await rig.start(pod, {mounts: [mount(PROPAGATION.BIDIRECTIONAL)], ...privileged});
			await runOk(['mount', '-t', 'tmpfs', 'berth-late', join(dir, 'late')]);
			await writeFile(join(dir, 'late/mark'), '');
			const late = says('late', 'test -e /mnt/late/mark');
			t.deepEqual([await rig.exec(isolated, late), await rig.exec(slave, late), await rig.exec(shared, late)], [['late=no'], ['late=yes'], ['late=yes']]);
			await rig.exec(slave, 'mount -t tmpfs berth-own /mnt/own');
			await rig.exec(shared, 'mount -t tmpfs berth-out /mnt/out');
			const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
			t.true(mountinfo.includes(` ${join(dir, 'out')} `));
			t.false(mountinfo.includes(` ${join(dir, 'own')} `));
			await rig.remove(pod);
		});
	},
);

async function writeOwned(dir: string): Promise<void> {
	for (const [name, uid, gid] of [
		['file', 1000, 2000],
		['sub/file', 1001, 2001],
		['unmapped', 5000, 5000],
	] as const) {
		await writeFile(join(dir, name), '');
		await chown(join(dir, name), uid, gid);
	}
}

fields("a volume's own id mappings: the files' ids on disk are others inside, also of mounts below", async (t, rig) => {
	await withMounted(rig, 'ids', 'private', async dir => {
		await writeOwned(dir);
		const uidMappings = [ids(0, 0, 1), ids(1000, 70_000, 10)];
		const gidMappings = [ids(0, 0, 1), ids(2000, 80_000, 10)];
		const mounts = [{host_path: dir, container_path: '/mnt', uidMappings, gidMappings}];
		const pod = await rig.pod('ids');
		const id = await rig.start(pod, {mounts});
		t.deepEqual(await rig.exec(id, 'stat -c %u:%g /mnt/file /mnt/sub/file /mnt/unmapped; touch /mnt/new; stat -c %u:%g /mnt/new'), [
			'70000:80000',
			'70001:80001',
			'65534:65534',
			'0:0',
		]);
		t.is((await stat(join(dir, 'new'))).uid, 0);
		const shown = await statusOf(rig.cri, id);
		t.deepEqual([shown.mounts[0]?.uidMappings, shown.mounts[0]?.gidMappings], [uidMappings, gidMappings]);
		await rig.remove(pod);
	});
});

fields('in a pod with a user namespace a volume is mapped as the pod, also what is mounted below, or its own way', async (t, rig) => {
	await withMounted(rig, 'mapped', 'private', async dir => {
		await writeOwned(dir);
		const pods = [ids(0, 1_000_000, 65_536)];
		const userns_options = {mode: MODE.POD, uids: pods, gids: pods};
		const mapped = await rig.pod('mapped', podLinux({namespace_options: {pid: MODE.CONTAINER, userns_options}}));
		const asPod = {host_path: dir, container_path: '/pods', uidMappings: pods, gidMappings: pods};
		const other = {...asPod, container_path: '/other', uidMappings: [ids(1000, 1_000_007, 10)]};
		t.deepEqual(await rig.run(mapped, 'stat -c %u:%g /pods/file /pods/sub/file /other/file /other/sub/file', {mounts: [asPod, other]}), [
			'1000:2000',
			'1001:2001',
			'7:2000',
			'8:2001',
		]);
		await rig.remove(mapped);
	});
});

fields('a mount that cannot be is refused by its field, and leaves nothing', async (t, rig) => {
	const pod = await rig.pod('refused');
	const dir = await scratch(rig, 'refused');
	const good: Mount = {host_path: dir, container_path: '/mnt'};
	const refused = async (mount: Mount, code: number, says_: RegExp): Promise<void> =>
		await assertRefused(t, code, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], {mounts: [good, mount]})));
	const {INVALID_ARGUMENT, UNIMPLEMENTED} = status;
	await refused({...good, container_path: '/../etc'}, INVALID_ARGUMENT, /mounts\[1\].*container_path/);
	await refused({...good, host_path: 'relative'}, INVALID_ARGUMENT, /mounts\[1\].*host_path/);
	await refused({...good, host_path: '/a\0b'}, INVALID_ARGUMENT, /mounts\[1\].*host_path/);
	await refused({...good, mount_options: ['suid']}, UNIMPLEMENTED, /mounts\[1\]\.mount_options: "suid"/);
	await refused({...good, recursive_read_only: true}, INVALID_ARGUMENT, /mounts\[1\].*recursive_read_only needs readonly/);
	await refused({...good, recursive_read_only: true, readonly: true, propagation: 1}, INVALID_ARGUMENT, /needs private propagation/);
	await refused({...good, propagation: 2}, INVALID_ARGUMENT, /mounts\[1\].*bidirectional propagation needs a privileged container/);
	await refused({...good, propagation: 3 as never}, INVALID_ARGUMENT, /propagation 3 is unknown/);
	await refused({...good, uidMappings: [ids(0, 5, 1)]}, INVALID_ARGUMENT, /mounts\[1\]\.gidMappings: is empty/);
	await refused({...good, uidMappings: [ids(0, 5, 3), ids(2, 50, 3)], gidMappings: [ids(0, 5, 3)]}, INVALID_ARGUMENT, /uidMappings: its ranges overlap/);
	await refused({...good, host_path: '/proc/sys', uidMappings: [ids(0, 5, 3)], gidMappings: [ids(0, 5, 3)]}, UNIMPLEMENTED, /no id-mapped mounts/);
	await rig.remove(pod);
});
