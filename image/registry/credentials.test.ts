import {chmod, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {FailedError, InvalidArgumentError, TimedOutError} from '../../base/errors.js';
import type {ProgramRequest, ProgramResult} from '../../native/native.js';
import type {ImageOptions} from '../image.js';
import {parseReference} from '../reference.js';
import {type Credential, findCredential} from './credentials.js';
import {temporaryDirectory, toParts} from './fake-server.js';

const never = new AbortController().signal;
const encode = (text: string): string => Buffer.from(text).toString('base64');

interface Choices {
	readonly image?: string;
	/** Host of the endpoint when it is a mirror. */
	readonly mirror?: string;
	readonly runProgram?: (request: ProgramRequest) => Promise<ProgramResult>;
	readonly changes?: Partial<ImageOptions>;
}

/** What is found in auth files of the given contents, by "kind user:secret". */
async function find(t: ExecutionContext, files: readonly (object | string)[], {image = 'quay.io/team/app:1', mirror, runProgram, changes = {}}: Choices = {}) {
	const dir = await temporaryDirectory(t);
	const authFiles: string[] = [];
	for (const [index, content] of files.entries()) {
		authFiles.push(join(dir, `auth${index}.json`));
		await writeFile(join(dir, `auth${index}.json`), typeof content === 'string' ? content : JSON.stringify(content));
	}
	for (const name of ['docker-credential-fake', 'docker-credential-other']) {
		await writeFile(join(dir, name), '#!/bin/false\n');
		await chmod(join(dir, name), 0o755);
	}
	const parts = toParts({authFiles: [join(dir, 'missing.json'), ...authFiles], credentialHelperDirs: ['/nowhere', dir], ...changes}, runProgram);
	const reference = parseReference(image);
	const endpoint = {base: new URL(`https://${mirror ?? reference.registry}/v2/`), isMirror: mirror !== undefined};
	return show(await findCredential(parts, {endpoint, reference, auth: null}, never));
}

function show(found: Credential | null): string {
	if (found === null) return 'none';
	return found.kind === 'basic' ? `basic ${found.username}:${found.password}` : `${found.kind} ${found.token}`;
}

function entry(text: string): object {
	return {auth: encode(text)};
}

const HOSTS = {
	'quay.io': entry('host:1'),
	'quay.io/team': entry('team:2'),
	'quay.io/team/app': entry('app:3'),
	'quay.io/te': entry('not:me'),
	'https://index.docker.io/v1/': entry('hub:4'),
	'https://legacy.example/v2/': entry('legacy:5'),
	'id.example': {auth: encode('00000000-0000:'), identitytoken: 'refresh'},
	'r.example:5000': {username: 'plain', password: 'pass'},
	'empty.example': {},
};
for (const [image, expected] of [
	['quay.io/team/app:1', 'basic app:3'],
	['quay.io/team/app/deeper:1', 'basic app:3'],
	['quay.io/team/other:1', 'basic team:2'],
	['quay.io/teams:1', 'basic host:1'],
	['busybox', 'basic hub:4'],
	['legacy.example/a', 'basic legacy:5'],
	['id.example/a', 'identity refresh'],
	['r.example:5000/a', 'basic plain:pass'],
	['r.example/a', 'none'],
	['empty.example/a', 'none'],
	['notquay.io/team/app', 'none'],
] as const) {
	test(`in an auth file ${image} has ${expected}`, async t => {
		t.is(await find(t, [{auths: HOSTS, HttpHeaders: {}}], {image}), expected);
	});
}

test('a mirror has what its own host has, and files are asked in order', async t => {
	t.is(await find(t, [{auths: HOSTS}], {mirror: 'mirror.example'}), 'none');
	t.is(await find(t, [{auths: {...HOSTS, 'mirror.example/team': entry('mirror:6')}}], {mirror: 'mirror.example'}), 'basic mirror:6');
	t.is(await find(t, [{auths: {'gcr.io': entry('a:1')}}, {auths: {'quay.io': entry('second:2')}}, {auths: HOSTS}]), 'basic second:2');
	t.is(await find(t, []), 'none');
});

for (const [what, content, message] of [
	['no JSON', '{"auths": {"quay.io": {"auth": "c2VjcmV0', /auth0\.json: is not JSON$/],
	['an array', '[]', /auth0\.json: must be an object$/],
	['a value of a wrong type', {auths: {'quay.io': {auth: 5}}}, /auth0\.json: auths\.quay\.io\.auth: must be a string$/],
	['auth without a colon', {auths: {'quay.io': entry('secret')}}, /auth0\.json: auths\.quay\.io\.auth is not base64 of "user:password"$/],
	['a helper that is a path', {credHelpers: {'quay.io': '../../bin/sh'}}, /auth0\.json: credHelpers\.quay\.io: must be the name of a credential helper$/],
	['too much', `{"auths":"${'x'.repeat(2 << 20)}"}`, /auth0\.json: is longer than 1048576 bytes$/],
] as const) {
	test(`an auth file with ${what} is refused by file and key, without a secret`, async t => {
		const error = await t.throwsAsync(find(t, [content]), {instanceOf: InvalidArgumentError, message});
		t.notRegex(`${error.message} ${String(error.cause)}`, /secret|c2Vj/);
	});
}

function answering(requests: ProgramRequest[], changes: Partial<ProgramResult>): (request: ProgramRequest) => Promise<ProgramResult> {
	return async request => {
		requests.push(request);
		return {exitCode: 0, stdout: Buffer.from('{"ServerURL":"s","Username":"u","Secret":"top"}'), stderr: new Uint8Array(), timedOut: false, ...changes};
	};
}

test('a helper of the host is asked before the entries, the store after them', async t => {
	const requests: ProgramRequest[] = [];
	const runProgram = answering(requests, {});
	const file = {auths: {'quay.io': entry('host:1'), 'gcr.io': {}}, credHelpers: {'quay.io': 'fake'}, credsStore: 'other'};
	const changes = {proxy: {http: null, https: 'http://p:1/', noProxy: 'x'}};
	t.is(await find(t, [file], {runProgram, changes}), 'basic u:top');
	t.is(await find(t, [file], {runProgram, image: 'gcr.io/a'}), 'basic u:top');
	t.is(await find(t, [file], {runProgram, image: 'busybox'}), 'basic u:top');
	t.deepEqual(
		requests.map(({path, args, stdin}) => [path.replace(/.*\//, ''), args[0], Buffer.from(stdin).toString()]),
		[
			['docker-credential-fake', 'get', 'quay.io'],
			['docker-credential-other', 'get', 'gcr.io'],
			['docker-credential-other', 'get', 'https://index.docker.io/v1/'],
		],
	);
	t.like(requests[0], {timeoutMs: 30_000});
	t.deepEqual(requests[0]?.env.slice(1), ['HOME=/root', 'HTTPS_PROXY=http://p:1/', 'NO_PROXY=x']);
});

test('the user <token> means a refresh token, and a helper may have nothing', async t => {
	const file = {credsStore: 'fake'};
	t.is(await find(t, [file], {runProgram: answering([], {stdout: Buffer.from('{"Username":"<token>","Secret":"refresh"}')})}), 'identity refresh');
	const nothing = answering([], {exitCode: 1, stdout: Buffer.from('credentials not found in native keychain\n')});
	t.is(await find(t, [file, {auths: {'quay.io': entry('next:1')}}], {runProgram: nothing}), 'basic next:1');
});

for (const [what, changes, instanceOf, message] of [
	['fails', {exitCode: 3, stdout: Buffer.from('secret'), stderr: Buffer.from('secret')}, FailedError, /docker-credential-fake .*exited with 3 for quay\.io$/],
	['hangs', {timedOut: true, exitCode: 137}, TimedOutError, /docker-credential-fake .*did not end within 30000 ms/],
	['prints garbage', {stdout: Buffer.from('secret')}, FailedError, /docker-credential-fake .*answers something else than JSON/],
	['prints no user', {stdout: Buffer.from('{"Secret":"secret"}')}, FailedError, /something else than JSON with Username and Secret$/],
] as const) {
	test(`a helper that ${what} is an error that names it and its file, without its output`, async t => {
		const error = await t.throwsAsync(find(t, [{credsStore: 'fake'}], {runProgram: answering([], changes)}), {instanceOf, message});
		t.regex(error.message, /auth0\.json/);
		t.false(error.message.includes('secret'));
	});
}

test('a helper that is not there is named', async t => {
	await t.throwsAsync(find(t, [{credHelpers: {'quay.io': 'ecr-login'}}]), {
		instanceOf: FailedError,
		message: /^credential helper docker-credential-ecr-login \(of .*auth0\.json\) is not in \/nowhere, /,
	});
});
