import test from 'ava';
import {systemClock} from '../../base/clock.js';
import {CorruptError, PermissionDeniedError, UnavailableError} from '../../base/errors.js';
import type {RegistryAuth} from '../image.js';
import {parseReference} from '../reference.js';
import {RegistrySource} from './client.js';
import {type Answer, collectAll, type FakeServer, json, openServer, plain, sendRange, toDescriptor, toParts} from './fake-server.js';

const MANIFEST = Buffer.from('{"schemaVersion":2}');
const never = new AbortController().signal;
const NONE: RegistryAuth = {username: '', password: '', auth: '', serverAddress: '', identityToken: '', registryToken: ''};
const USER: RegistryAuth = {...NONE, username: 'user', password: 'sec:ret'};
const BASIC = `Basic ${Buffer.from('user:sec:ret').toString('base64')}`;

/** A registry that wants what `accepts` says, and asks for it with `challenge`. */
function guarded(challenge: () => string, accepts: (authorization: string) => boolean): Answer {
	return (request, response) => {
		if (accepts(request.headers.authorization ?? '')) response.end(MANIFEST);
		else json(response, 401, {errors: [{code: 'UNAUTHORIZED'}]}, {'www-authenticate': challenge()});
	};
}

async function pull(own: FakeServer, auth: RegistryAuth | null, mirrors: readonly string[] = []): Promise<Uint8Array> {
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), auth, toParts({registries: plain(own.host, mirrors)}));
	try {
		return await source.manifest('1', never);
	} finally {
		await source.close();
	}
}

test('Basic, from user and password, and from auth', async t => {
	const own = await openServer(
		t,
		guarded(
			() => 'Basic realm="r"',
			authorization => authorization === BASIC,
		),
	);
	t.truthy(await pull(own, USER));
	t.truthy(await pull(own, {...NONE, auth: Buffer.from('user:sec:ret\0').toString('base64')}));
	const wrong = await t.throwsAsync(pull(own, {...USER, password: 'hunter2'}), {instanceOf: PermissionDeniedError, message: /answers 401 UNAUTHORIZED/});
	t.false(wrong.message.includes('hunter2'));
	await t.throwsAsync(pull(own, null), {instanceOf: PermissionDeniedError, message: /wants credentials \(401\)/});
	await t.throwsAsync(pull(own, {...NONE, identityToken: 'x'}), {instanceOf: PermissionDeniedError, message: /only an identity token/});
	await t.throwsAsync(pull(own, {...NONE, auth: '%%%'}), {message: 'auth.auth is not base64 of "user:password"'});
});

test('a server address of another host keeps the credentials at home', async t => {
	const own = await openServer(
		t,
		guarded(
			() => 'Basic realm="r"',
			authorization => authorization !== '',
		),
	);
	await t.throwsAsync(pull(own, {...USER, serverAddress: 'https://other.example/v1/'}), {instanceOf: PermissionDeniedError});
	t.deepEqual(
		own.seen.map(({headers}) => headers.authorization),
		[undefined],
	);
	for (const serverAddress of [own.host, `https://${own.host}/v1/`, `http://${own.host}`]) t.truthy(await pull(own, {...USER, serverAddress}));
});

test('Bearer: the token server gets user and scope, the registry the token, and one token serves the pull', async t => {
	const tokens = await openServer(t, (_, response) => json(response, 200, {access_token: 'tok', expires_in: 300}));
	const own = await openServer(
		t,
		guarded(
			() => `Bearer realm="${tokens.url}/token?x=1",service="reg",scope="repository:a/b:pull"`,
			authorization => authorization === 'Bearer tok',
		),
	);
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), USER, toParts({registries: plain(own.host)}));
	await source.manifest('1', never);
	await source.manifest('1', never);
	t.is(tokens.seen.length, 1);
	t.like(tokens.seen[0], {method: 'GET', url: '/token?x=1&service=reg&scope=repository%3Aa%2Fb%3Apull&account=user'});
	t.is(tokens.seen[0]?.headers.authorization, BASIC);
	t.is(own.seen.length, 3);
});

test('a registry token is sent as it is, an identity token is exchanged by POST, nothing means an anonymous token', async t => {
	const tokens = await openServer(t, ({method}, response) => json(response, 200, {token: method === 'POST' ? 'posted' : 'anonymous'}));
	const seen: string[] = [];
	const own = await openServer(
		t,
		guarded(
			() => `Bearer realm="${tokens.url}/",service="reg"`,
			authorization => seen.push(authorization) > 0 && authorization !== '',
		),
	);
	await pull(own, {...NONE, registryToken: 'given'});
	await pull(own, {...NONE, identityToken: 'refresh&me'});
	await pull(own, null);
	t.deepEqual(seen, ['', 'Bearer given', '', 'Bearer posted', '', 'Bearer anonymous']);
	t.is(tokens.seen[0]?.body, 'grant_type=refresh_token&client_id=berth&service=reg&scope=repository%3Aa%2Fb%3Apull&refresh_token=refresh%26me');
	t.is(tokens.seen[1]?.headers.authorization, undefined);
});

test('a token that is refused in the middle of a pull is renewed once, for all requests at the same time', async t => {
	let issued = 0;
	const blob = Buffer.alloc(20 << 20, 'x');
	const tokens = await openServer(t, (_, response) => json(response, 200, {token: `tok${++issued}`}));
	const own = await openServer(t, (request, response, index) => {
		const valid = index < 4 ? 'Bearer tok1' : 'Bearer tok2';
		if (request.headers.authorization === valid) return sendRange(request, response, blob);
		json(response, 401, {}, {'www-authenticate': `Bearer realm="${tokens.url}/"`});
	});
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), null, toParts({registries: plain(own.host)}));
	t.true((await collectAll(source.blob(toDescriptor(blob), never))).equals(blob));
	t.is(issued, 2);
});

test('a refusal that comes after the token was renewed does not renew it again', async t => {
	let issued = 0;
	let refuseLate: () => void = () => {};
	const tokens = await openServer(t, (_, response) => json(response, 200, {token: `tok${++issued}`}));
	const own = await openServer(t, (request, response) => {
		const refuse = (): void => json(response, 401, {}, {'www-authenticate': `Bearer realm="${tokens.url}/"`});
		const isOld = request.headers.authorization === 'Bearer tok1';
		if (request.headers.authorization === undefined) refuse();
		else if (isOld && request.url.endsWith('/late')) refuseLate = refuse;
		else if (isOld && request.url.endsWith('/early')) refuse();
		else response.end(MANIFEST);
	});
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), null, toParts({registries: plain(own.host)}));
	await source.manifest('1', never);
	const late = source.manifest('late', never);
	while (!own.seen.some(({url}) => url.endsWith('/late'))) await systemClock.sleep(5);
	await source.manifest('early', never);
	refuseLate();
	await late;
	t.is(issued, 2);
});

test('a token is not used beyond its time', async t => {
	let issued = 0;
	const tokens = await openServer(t, (_, response) => json(response, 200, {token: `tok${++issued}`, expires_in: 1}));
	const own = await openServer(
		t,
		guarded(
			() => `Bearer realm="${tokens.url}/"`,
			authorization => authorization !== '',
		),
	);
	const source = await RegistrySource.open(parseReference(`${own.host}/a/b:1`), null, toParts({registries: plain(own.host)}));
	await source.manifest('1', never);
	await systemClock.sleep(1000);
	await source.manifest('1', never);
	t.is(issued, 2);
});

test('a registry that refuses every token is an error after one try, and so is one without a realm', async t => {
	let issued = 0;
	const tokens = await openServer(t, (_, response) => json(response, 200, {token: `tok${++issued}`}));
	const own = await openServer(
		t,
		guarded(
			() => `Bearer realm="${tokens.url}/"`,
			() => false,
		),
	);
	await t.throwsAsync(pull(own, USER), {instanceOf: PermissionDeniedError, message: /answers 401 UNAUTHORIZED/});
	t.is(own.seen.length, 2);
	t.is(issued, 1);
	for (const challenge of ['', 'Negotiate', 'Bearer realm="file:///etc/passwd"', 'Bearer service="x"', 'Bearer realm="http://u:p@127.0.0.1/"']) {
		const odd = await openServer(
			t,
			guarded(
				() => challenge,
				() => false,
			),
		);
		await t.throwsAsync(pull(odd, USER), {instanceOf: PermissionDeniedError, message: /401|no http URL/}, challenge);
		t.is(odd.seen.length, 1);
	}
});

test('a token server that fails: 5xx is tried again, a refusal is one, garbage is garbage; none shows a secret', async t => {
	const answers: Readonly<Record<string, Answer>> = {
		busy: (_, response) => json(response, 503, {token: 'leak'}),
		denied: (_, response) => json(response, 401, {token: 'leak'}),
		garbage: (_, response) => response.end('leak'),
		empty: (_, response) => json(response, 200, {refresh_token: 'leak'}),
		odd: (_, response) => json(response, 200, {token: 'leak\r\nx: y'}),
		long: (_, response) => response.end(Buffer.alloc(2 << 20, 'leak')),
	};
	const classes = {busy: UnavailableError, denied: PermissionDeniedError, garbage: CorruptError, empty: CorruptError, odd: CorruptError, long: CorruptError};
	for (const [name, answer] of Object.entries(answers)) {
		const tokens = await openServer(t, answer);
		const own = await openServer(
			t,
			guarded(
				() => `Bearer realm="${tokens.url}/"`,
				() => false,
			),
		);
		const error = await t.throwsAsync(pull(own, USER), {instanceOf: classes[name as keyof typeof classes]}, name);
		t.true(error.message.includes(`token server ${tokens.host}`) || name === 'long', error.message);
		t.notRegex(error.message, /leak|sec:ret/);
		t.is(tokens.seen.length, name === 'busy' ? 4 : 1, name);
	}
});

test("the caller's credentials go neither to a mirror nor to where the registry redirects", async t => {
	const other = await openServer(t, (_, response) => response.end(MANIFEST));
	const mirror = await openServer(
		t,
		guarded(
			() => 'Basic realm="mirror"',
			() => false,
		),
	);
	const own = await openServer(t, (request, response) => {
		if (request.headers.authorization !== BASIC) return json(response, 401, {}, {'www-authenticate': 'Basic realm="r"'});
		response.writeHead(307, {location: `${other.url}/signed?x=1`}).end();
	});
	t.truthy(await pull(own, USER, [mirror.url]));
	t.deepEqual(
		mirror.seen.map(({headers}) => headers.authorization),
		[undefined],
	);
	t.is(other.seen[0]?.url, '/signed?x=1');
	t.is(other.seen[0]?.headers.authorization, undefined);
	// A mirror that is meant by its own address gets them.
	await pull(own, {...USER, serverAddress: mirror.host}, [mirror.url]).catch(() => {});
	t.is(mirror.seen.at(-1)?.headers.authorization, BASIC);
});
