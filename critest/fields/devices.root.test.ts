import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {status} from '@grpc/grpc-js';
import test from 'ava';
import type {ContainerConfig, Device} from '../../proto/cri.js';
import {runOk} from '../rig/command.js';
import {createContainer, statusOf, toContainerConfig} from '../rig/pods.js';
import {assertRefused} from '../rig/refusal.js';
import {pullOwn, says, toFacts, useFields, withSecurity} from './rig.js';

const cdiDir = await mkdtemp(join(tmpdir(), 'berth-cdi-'));
test.after.always(() => rm(cdiDir, {recursive: true, force: true}));
const fields = useFields(test, {runtime: `cdi_spec_dirs = [${JSON.stringify(cdiDir)}, "/nonexistent/cdi"]`});
/** Nothing happens when it is opened, and no container has it by default. */
const QUIET = {path: '/dev/loop-control', major: 10, minor: 237};
/** Opens it for reading and for writing. */
const opens = (name: string, path: string): string => `${says(`${name}_read`, `true < ${path}`)}; ${says(`${name}_write`, `true >> ${path}`)}`;

fields('a device by its path, by a link, under another path, a directory of them, with permissions; and no others', async (t, rig) => {
	const dir = join(rig.daemon.places.scratchDir, rig.handler.name, 'devices');
	await mkdir(join(dir, 'deep'), {recursive: true});
	await runOk(['mknod', '-m', '640', join(dir, 'one'), 'c', String(QUIET.major), String(QUIET.minor)]);
	await runOk(['mknod', join(dir, 'deep/two'), 'c', '1', '7']);
	await symlink('one', join(dir, 'link'));
	await writeFile(join(dir, 'no-device'), '');
	const devices: Device[] = [
		{host_path: join(dir, 'link'), container_path: '/dev/linked', permissions: 'r'},
		{host_path: dir, container_path: '/dev/all', permissions: 'rw'},
	];
	const pod = await rig.pod('devices');
	const script = [
		'echo kind=$(stat -c "%F %t:%T %a" /dev/linked)',
		'echo all=$(cd /dev/all && find . | sort | tr "\\n" " ")',
		says('default', 'echo x > /dev/null && dd if=/dev/zero of=/dev/null bs=1 count=1'),
		says('mknod_other', 'mknod /tmp/kmsg c 1 11 && true < /tmp/kmsg'),
	];
	t.deepEqual(toFacts(await rig.run(pod, script.join('\n'), {devices})), {
		kind: 'character special file a:ed 640',
		all: '. ./deep ./deep/two ./one',
		default: 'yes',
		mknod_other: 'no',
	});
	for (const [permissions, read, write] of [
		['r', 'yes', 'no'],
		['w', 'no', 'yes'],
		['', 'yes', 'yes'],
	] as const) {
		const facts = toFacts(await rig.run(pod, opens('it', QUIET.path), {devices: [{host_path: QUIET.path, container_path: '', permissions}]}));
		t.deepEqual(facts, {it_read: read, it_write: write}, permissions);
	}
	const refused = async (device: Device, says_: RegExp): Promise<void> =>
		await assertRefused(t, status.INVALID_ARGUMENT, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], {devices: [device]})));
	await refused({host_path: '/dev/not-there'}, /devices\[0\]\.host_path "\/dev\/not-there" cannot be read/);
	await refused({host_path: join(dir, 'no-device')}, /is no device and holds none/);
	await refused({host_path: 'dev/null'}, /devices\[0\]\.host_path "dev\/null" is not an absolute path/);
	await refused({host_path: '/dev/null', container_path: '/dev/../../x'}, /devices\[0\]\.container_path/);
	await refused({host_path: '/dev/null', permissions: 'rwx'}, /devices\[0\]\.permissions "rwx"/);
	await rig.remove(pod);
});

const SPECIFICATION = `cdiVersion: 0.7.0
kind: berth.test/thing
containerEdits:
  env:
  - GENERAL=yes
devices:
- name: one
  containerEdits:
    env: ["ONE=1", "BOTH=device"]
    deviceNodes:
    - path: /dev/thing
      hostPath: ${QUIET.path}
      permissions: r
      fileMode: 0640
      gid: 77
    - {path: /dev/told, type: c, major: 1, minor: 7}
    mounts:
    - hostPath: ${cdiDir}
      containerPath: /opt/thing
      options: [ro, nosuid, nodev, rbind, rprivate]
    additionalGids: [4711]
- name: hooked
  containerEdits:
    hooks:
    - hookName: createContainer
      path: /bin/true
`;

fields(
	'CDI devices by field and by annotation: environment, device nodes, mounts and groups of their specification; what cannot be is refused by name',
	async (t, rig) => {
		await writeFile(join(cdiDir, 'thing.yaml'), SPECIFICATION);
		await writeFile(join(cdiDir, 'torn.json'), '{');
		await writeFile(join(cdiDir, 'mark'), 'marked\n');
		const pod = await rig.pod('cdi');
		const script = [
			'echo env=$GENERAL:$ONE:$BOTH',
			'echo node=$(stat -c "%F %t:%T %a %u:%g" /dev/thing)',
			'echo told=$(stat -c "%t:%T %a" /dev/told)',
			opens('thing', '/dev/thing'),
			'echo mount=$(cat /opt/thing/mark)',
			says('mount_write', 'touch /opt/thing/x'),
			'echo groups=$(id -G)',
		].join('\n');
		const envs = [{key: 'BOTH', value: Buffer.from('config')}];
		const expected = {
			env: 'yes:1:device',
			node: 'character special file a:ed 640 0:77',
			told: '1:7 666',
			thing_read: 'yes',
			thing_write: 'no',
			mount: 'marked',
			mount_write: 'no',
			groups: '0 4711',
		};
		const byField: Partial<ContainerConfig> = {CDI_devices: [{name: 'berth.test/thing=one'}], envs};
		t.deepEqual(toFacts(await rig.run(pod, script, byField)), expected);
		const byAnnotation: Partial<ContainerConfig> = {annotations: {'cdi.k8s.io/plugin_x': 'berth.test/thing=one'}, envs};
		t.deepEqual(toFacts(await rig.run(pod, script, byAnnotation)), expected);
		const id = await rig.start(pod, {...byField, ...withSecurity({supplemental_groups: [9]})});
		const shown = await statusOf(rig.cri, id);
		t.deepEqual(shown.user?.linux?.supplemental_groups.map(Number), [0, 9, 4711]);
		t.deepEqual(shown.mounts, [], 'only what was asked for');
		const refused = async (changes: Partial<ContainerConfig>, code: number, says_: RegExp): Promise<void> =>
			await assertRefused(t, code, says_, createContainer(rig.cri, pod, toContainerConfig('bad', ['true'], changes)));
		const {INVALID_ARGUMENT, UNIMPLEMENTED} = status;
		await refused({CDI_devices: [{name: 'berth.test/thing=two'}]}, INVALID_ARGUMENT, /has the device "berth\.test\/thing=two" \(not usable: .*torn\.json/);
		await refused({CDI_devices: [{name: 'thing'}]}, INVALID_ARGUMENT, /CDI_devices: "thing" is not like/);
		await refused({annotations: {'cdi.k8s.io/x': '../../etc=a'}}, INVALID_ARGUMENT, /annotations\["cdi\.k8s\.io\/x"\]/);
		await refused({CDI_devices: [{name: 'berth.test/thing=hooked'}]}, UNIMPLEMENTED, /CDI_devices: hooks/);
		await rm(join(cdiDir, 'thing.yaml'));
		await refused(byField, INVALID_ARGUMENT, /no specification in/);
		await rig.remove(pod);
	},
);

fields('a volume that the image names is a directory of the writable layer, where nothing is mounted on it', async (t, rig) => {
	const image = {image: await pullOwn(rig, 'volume', {Volumes: {'/data': {}, '/etc/mounted': {}}})};
	const pod = await rig.pod('volume');
	const mounts = [{host_path: cdiDir, container_path: '/etc/mounted', readonly: true}];
	const script = `touch /data/x && stat -c %a /data; grep -c " /data " /proc/self/mountinfo; ${says('mounted', 'touch /etc/mounted/x')}`;
	t.deepEqual(await rig.run(pod, script, {image, mounts}), ['755', '0', 'mounted=no']);
	await rig.remove(pod);
});
