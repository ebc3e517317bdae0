import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import {toCdiChanges} from './edits.js';
import {findCdiEdits, toCdiNames} from './find.js';
import {parseSpecification} from './specification.js';

const minimal = {cdiVersion: '0.6.0', kind: 'vendor.com/gpu', devices: [{name: '0', containerEdits: {}}]};
const withEdits = (containerEdits: object): string => JSON.stringify({...minimal, devices: [{name: '0', containerEdits}]});

for (const [changes, says] of [
	[{cdiVersion: '9.0.0'}, /^cdiVersion: must be one of 0\.3\.0, /],
	[{cdiVersion: undefined}, /^cdiVersion: /],
	[{kind: 'gpu'}, /^kind: is not like/],
	[{kind: 'vendor.com/g pu'}, /^kind: is not like/],
	[{devices: []}, /^devices: names no device/],
	[{devices: [{name: '-x', containerEdits: {}}]}, /^devices\.0\.name: is no name/],
	[{devices: [minimal.devices[0], minimal.devices[0]]}, /^devices: "0" comes twice/],
	[{devices: [{name: '0'}]}, /^devices\.0\.containerEdits: /],
	[{more: 1}, /^more: /],
] as const) {
	test(`a CDI specification with ${JSON.stringify(changes)} is refused by its place`, t => {
		t.throws(() => parseSpecification('x.json', JSON.stringify({...minimal, ...changes})), {message: says});
	});
}

for (const [edits, says] of [
	[{env: ['NOVALUE']}, /env\.0: is not NAME=value/],
	[{deviceNodes: [{path: 'dev/x'}]}, /deviceNodes\.0\.path: is not an absolute path/],
	[{deviceNodes: [{path: '/dev/../x'}]}, /deviceNodes\.0\.path: contains/],
	[{deviceNodes: [{path: '/dev/x', type: 'x'}]}, /deviceNodes\.0\.type: /],
	[{deviceNodes: [{path: '/dev/x', permissions: 'rx'}]}, /permissions: is not made of/],
	[{mounts: [{hostPath: '/a', containerPath: 'b'}]}, /mounts\.0\.containerPath: is not an absolute path/],
	[{additionalGids: [-1]}, /additionalGids\.0: /],
	[{unknown: []}, /unknown: /],
] as const) {
	test(`CDI edits with ${JSON.stringify(edits)} are refused by their place`, t => {
		t.throws(() => parseSpecification('x.json', withEdits(edits)), {message: says});
	});
}

test('a specification is read as YAML or JSON by its name', t => {
	t.is(parseSpecification('x.json', JSON.stringify(minimal)).kind, 'vendor.com/gpu');
	const yaml = 'cdiVersion: "0.6.0"\nkind: vendor.com/gpu\ndevices:\n- name: "0"\n  containerEdits:\n    env: [A=b]\n';
	t.deepEqual(parseSpecification('x.yaml', yaml).devices[0]?.containerEdits.env, ['A=b']);
	t.throws(() => parseSpecification('x.json', yaml), {instanceOf: SyntaxError});
	t.throws(() => parseSpecification('x.yaml', 'a: *b'), {message: /^line 1: /});
});

test('names come from the field, then from annotations, each once', t => {
	const annotations = {'cdi.k8s.io/plugin_a': 'vendor.com/gpu=1,vendor.com/gpu=0', 'other.io/x': 'nothing'};
	t.deepEqual(toCdiNames({CDI_devices: [{name: 'vendor.com/gpu=0'}, {name: 'v/c=a.b:c'}], annotations}), ['vendor.com/gpu=0', 'v/c=a.b:c', 'vendor.com/gpu=1']);
	for (const name of ['', 'gpu', 'vendor.com/gpu', 'vendor.com/gpu=', '=0', 'vendor.com/gpu=0 ', '1/gpu=0', 'a/b=../../x'])
		t.throws(() => toCdiNames({CDI_devices: [{name}], annotations: {}}), {instanceOf: InvalidArgumentError, message: /^CDI_devices: ".*" is not like/});
	const bad = {CDI_devices: [], annotations: {'cdi.k8s.io/x': 'vendor.com/gpu=0,'}};
	t.throws(() => toCdiNames(bad), {instanceOf: InvalidArgumentError, message: /^annotations\["cdi\.k8s\.io\/x"\]: ""/});
});

async function directories(t: ExecutionContext, files: Readonly<Record<string, object | string>>): Promise<readonly string[]> {
	const dir = await mkdtemp(join(tmpdir(), 'cdi-'));
	t.teardown(() => rm(dir, {recursive: true}));
	for (const name of ['static', 'dynamic']) await mkdir(join(dir, name));
	for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
	return [join(dir, 'static'), join(dir, 'dynamic'), join(dir, 'missing')];
}
const gpu = (env: string, names = ['0']): object => ({
	...minimal,
	containerEdits: {env: [`ALL=${env}`]},
	devices: names.map(name => ({name, containerEdits: {env: [`DEVICE_${name}=${env}`]}})),
});

test('edits come in the order asked, those of a whole specification once; the later directory wins', async t => {
	const dirs = await directories(t, {'static/gpu.json': gpu('static', ['0', '1']), 'dynamic/gpu.json': gpu('dynamic'), 'static/readme.txt': 'x'});
	const edits = await findCdiEdits(dirs, ['vendor.com/gpu=1', 'vendor.com/gpu=0']);
	t.deepEqual(toCdiChanges(edits).env, ['ALL=static', 'DEVICE_1=static', 'ALL=dynamic', 'DEVICE_0=dynamic']);
	const both = await directories(t, {'static/gpu.json': gpu('static', ['0', '1'])});
	t.deepEqual(toCdiChanges(await findCdiEdits(both, ['vendor.com/gpu=1', 'vendor.com/gpu=0'])).env, ['ALL=static', 'DEVICE_1=static', 'DEVICE_0=static']);
	t.deepEqual(await findCdiEdits(dirs, []), []);
});

test('a device that no file has is refused, with the files that cannot be used; one that two files of a directory have is refused', async t => {
	const dirs = await directories(t, {
		'static/a.json': gpu('a'),
		'static/b.json': gpu('b'),
		'dynamic/torn.yaml': 'kind: [',
		'dynamic/other.json': {...gpu('c', ['2']), kind: 'v/c'},
	});
	await t.throwsAsync(findCdiEdits(dirs, ['vendor.com/gpu=0']), {
		instanceOf: InvalidArgumentError,
		message: /"vendor\.com\/gpu=0" is in two files: .*a\.json and .*b\.json/,
	});
	await t.throwsAsync(findCdiEdits(dirs, ['vendor.com/gpu=9']), {
		instanceOf: InvalidArgumentError,
		message: /^CDI_devices: no specification in .* has the device "vendor\.com\/gpu=9" \(not usable: .*torn\.yaml: line 1: /,
	});
	t.is((await findCdiEdits(dirs, ['v/c=2'])).length, 2, 'a broken file harms no other');
});

test('edits become environment, devices, mounts and groups; what is not done is refused', t => {
	const edits = (changes: object) => parseSpecification('x.json', withEdits(changes)).devices.map(({containerEdits}) => containerEdits);
	const changes = toCdiChanges(
		edits({
			additionalGids: [5, 0, 5],
			mounts: [
				{hostPath: '/a', containerPath: '/b', options: ['ro', 'nosuid', 'nodev', 'rbind', 'rprivate']},
				{hostPath: '/c', containerPath: '/d', type: 'bind', options: ['bind', 'rw', 'rslave', 'noexec']},
			],
		}),
	);
	t.deepEqual(changes.gids, [5]);
	t.like(changes.mounts[0], {source: '/a', target: '/b', readonly: true, nosuid: true, nodev: true, noexec: false, recursive: true, propagation: 'private'});
	t.like(changes.mounts[1], {source: '/c', target: '/d', readonly: false, noexec: true, recursive: false, propagation: 'slave'});
	for (const [refused, says] of [
		[{hooks: [{hookName: 'prestart', path: '/x'}]}, /hooks/],
		[{netDevices: [{hostInterfaceName: 'eth1', name: 'eth0'}]}, /netDevices/],
		[{intelRdt: {closID: 'x'}}, /intelRdt/],
		[{mounts: [{hostPath: 'tmpfs'.padStart(6, '/'), containerPath: '/d', type: 'tmpfs'}]}, /type "tmpfs"/],
		[{mounts: [{hostPath: '/a', containerPath: '/d', options: ['uid=5']}]}, /option "uid=5"/],
	] as const)
		t.throws(() => toCdiChanges(edits(refused)), {instanceOf: UnimplementedError, message: says});
});

test('a FIFO, or a link to a device, among the specifications is passed over and not waited for', async t => {
	const dir = await mkdtemp(join(tmpdir(), 'cdi-'));
	t.teardown(async () => await rm(dir, {recursive: true}));
	await promisify(execFile)('mkfifo', [join(dir, 'fifo.json')]);
	await symlink('/dev/zero', join(dir, 'zero.yaml'));
	await writeFile(join(dir, 'gpu.json'), JSON.stringify(minimal));
	t.is((await findCdiEdits([dir], ['vendor.com/gpu=0'])).length, 1);
	await t.throwsAsync(findCdiEdits([dir], ['vendor.com/gpu=1']), {message: /fifo\.json: is no file; .*zero\.yaml: is no file/});
});
