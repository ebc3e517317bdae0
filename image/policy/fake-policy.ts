import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {digestOf} from '../manifest.js';
import {parseReference} from '../reference.js';
import {FakeSignatures, type Signer} from './fake-signatures.js';
import {loadPolicy, SignatureRefusedError} from './policy.js';
import type {ImageOrigin} from './scope.js';

export const INDEX = digestOf(Buffer.from('index'));
export const MANIFEST = digestOf(Buffer.from('manifest'));
export const IMAGE = 'quay.io/x/y:1';

export async function fileWith(t: ExecutionContext, content: string): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), 'berth-policy-'));
	t.teardown(() => rm(directory, {recursive: true, force: true}));
	await writeFile(join(directory, 'f'), content);
	return join(directory, 'f');
}

export function keyed(signers: readonly Signer[], more: object = {}): object {
	return {type: 'sigstoreSigned', keyDatas: signers.map(({pem}) => Buffer.from(pem).toString('base64')), ...more};
}

export interface Asked {
	readonly source?: FakeSignatures;
	readonly image?: string;
	readonly origin?: ImageOrigin;
}

/** Asks a policy, given as its content, about an image of this index and manifest. */
export async function ask(t: ExecutionContext, content: object, {source = new FakeSignatures(), image = IMAGE, origin}: Asked = {}): Promise<void> {
	const policy = await loadPolicy(await fileWith(t, JSON.stringify(content)));
	await policy.assertAllowed({
		origin: origin ?? {transport: 'docker', reference: parseReference(image)},
		digests: [INDEX, MANIFEST],
		source,
		signal: new AbortController().signal,
	});
}

export function isAllowed(t: ExecutionContext, content: object, asked: Asked): Promise<boolean> {
	return ask(t, content, asked).then(
		() => true,
		(error: Error) => {
			if (!(error instanceof SignatureRefusedError)) throw error;
			return false;
		},
	);
}
