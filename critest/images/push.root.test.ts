import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {addImage, toDigest, toLayer} from '../fixtures/content.js';
import {PROJECT_DIR} from '../fixtures/images.js';
import {openRegistry} from '../fixtures/registry.js';
import {run, runOk} from '../rig/command.js';
import {useDaemon} from '../rig/use-daemon.js';

const running = useDaemon(test, {image: ({baseDir}) => `auth_files = [${JSON.stringify(join(baseDir, 'auth.json'))}]`});

test.serial('an image is pushed to another registry with credentials, its layers read again where it was pulled, and comes back the same', async t => {
	const {content, daemon} = running();
	const layers = [
		toLayer([{type: 'file', path: 'small', content: 'small'}], 'gzip'),
		toLayer([{type: 'file', path: 'large', content: Buffer.alloc(9 << 20, 'large ')}], 'none'),
	];
	content.tags.set('push/from:1', addImage(content.blobs, {format: 'oci', layers, config: {Cmd: ['/x']}}));
	const image = 'registry.k8s.io/push/from:1';
	const {image_ref: id} = await daemon.cri.image('PullImage', {image: {image}});
	const target = await openRegistry({...content, blobs: new Map(), tags: new Map()});
	try {
		const host = new URL(target.url).host;
		await mkdir(join(daemon.places.certsDir, host), {recursive: true});
		await writeFile(join(daemon.places.certsDir, host, 'hosts.toml'), `server = "${target.url}"\n`);
		target.credentials.set('team/app', 'robot:hunter2');
		const push = [join(PROJECT_DIR, 'bin/berth'), 'images', 'push', image, `${host}/team/app:2`, '--socket', daemon.places.socket];
		const refused = await run(push);
		t.not(refused.exitCode, 0);
		t.regex(refused.stderr, /team\/app: 127\.0\.0\.1:\d+: wants credentials \(401\)/);
		await writeFile(
			join(daemon.places.baseDir, 'auth.json'),
			JSON.stringify({auths: {[`${host}/team`]: {auth: Buffer.from('robot:hunter2').toString('base64')}}}),
		);
		t.regex(await runOk(push), /team\/app@sha256:/);
		await daemon.cri.image('RemoveImage', {image: {image}});
		const {image_ref: again} = await daemon.cri.image('PullImage', {image: {image: `${host}/team/app:2`}});
		t.is(again, id);
		const asked = target.requests.filter(({method, url}) => method === 'GET' && url.includes(toDigest(layers[1]?.blob ?? Buffer.alloc(0))));
		t.true(asked.length >= 2, 'in chunks');
		await daemon.cri.image('RemoveImage', {image: {image: `${host}/team/app:2`}});
	} finally {
		await target.close();
	}
});
