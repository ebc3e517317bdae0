import test from 'ava';
import {parseReference} from '../reference.js';
import {isIdentityAccepted, type SignedIdentity} from './identity.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const OTHER = `sha256:${'b'.repeat(64)}`;

/** Image, what the signature claims, whether it is accepted. */
type Case = readonly [string, string, boolean];

function cases(identity: SignedIdentity, name: string, list: readonly Case[]): void {
	for (const [image, claimed, accepted] of list)
		test(`${name}: ${image} signed as "${claimed}" is ${accepted ? 'accepted' : 'refused'}`, t => {
			t.is(isIdentityAccepted(identity, parseReference(image), claimed), accepted);
		});
}

cases({type: 'matchExact'}, 'matchExact', [
	['quay.io/x/y:1', 'quay.io/x/y:1', true],
	['busybox', 'docker.io/library/busybox:latest', true],
	['busybox', 'busybox:latest', true],
	['busybox', 'docker.io/library/busybox', false],
	['quay.io/x/y:1', 'quay.io/x/y:2', false],
	['quay.io/x/y:1', 'quay.io/x/y', false],
	['quay.io/x/y:1', `quay.io/x/y:1@${DIGEST}`, false],
	[`quay.io/x/y@${DIGEST}`, `quay.io/x/y@${DIGEST}`, true],
	[`quay.io/x/y:1@${DIGEST}`, `quay.io/x/y@${DIGEST}`, true],
	[`quay.io/x/y@${DIGEST}`, `quay.io/x/y@${OTHER}`, false],
	[`quay.io/x/y@${DIGEST}`, 'quay.io/x/y:1', false],
	['quay.io/x/y:1', 'no reference!', false],
	['quay.io/x/y:1', '', false],
]);

cases({type: 'matchRepoDigestOrExact'}, 'matchRepoDigestOrExact', [
	['quay.io/x/y:1', 'quay.io/x/y:1', true],
	['quay.io/x/y:1', 'quay.io/x/y:2', false],
	['quay.io/x/y:1', 'quay.io/x/y', false],
	['quay.io/x/y:1', `quay.io/x/y@${DIGEST}`, false],
	[`quay.io/x/y@${DIGEST}`, 'quay.io/x/y:2', true],
	[`quay.io/x/y:1@${DIGEST}`, 'quay.io/x/y:2', true],
	[`quay.io/x/y@${DIGEST}`, 'quay.io/x/y', false],
	[`quay.io/x/y@${DIGEST}`, 'quay.io/x/z:1', false],
	[`quay.io/x/y@${DIGEST}`, 'evil.io/x/y:1', false],
]);

cases({type: 'matchRepository'}, 'matchRepository', [
	['quay.io/x/y:1', 'quay.io/x/y:2', true],
	['quay.io/x/y:1', 'quay.io/x/y', true],
	['busybox', 'index.docker.io/library/busybox', true],
	['quay.io/x/y:1', 'quay.io/x/y/z', false],
	['quay.io/x/y:1', 'quay.io/x', false],
	['quay.io/x/y:1', 'quay.io:443/x/y', false],
]);

cases({type: 'exactReference', dockerReference: 'vendor.io/a/b:1'}, 'exactReference', [
	['mirror.io/a/b:9', 'vendor.io/a/b:1', true],
	['mirror.io/a/b:9', 'vendor.io/a/b:9', false],
	['mirror.io/a/b:9', 'vendor.io/a/b', false],
	['mirror.io/a/b:9', 'mirror.io/a/b:9', false],
]);

cases({type: 'exactRepository', dockerRepository: 'vendor.io/a/b'}, 'exactRepository', [
	['mirror.io/a/b:9', 'vendor.io/a/b:1', true],
	['mirror.io/a/b:9', 'vendor.io/a/b', true],
	['mirror.io/a/b:9', 'mirror.io/a/b:9', false],
]);

cases({type: 'remapIdentity', prefix: 'mirror.io/vendor', signedPrefix: 'vendor.io'}, 'remapIdentity', [
	['mirror.io/vendor/a/b:1', 'vendor.io/a/b:1', true],
	['mirror.io/vendor/a/b:1', 'vendor.io/a/b:2', false],
	['mirror.io/vendor/a/b:1', 'mirror.io/vendor/a/b:1', false],
	[`mirror.io/vendor/a/b@${DIGEST}`, 'vendor.io/a/b:2', true],
	['mirror.io/vendored/a:1', 'vendor.ioed/a:1', false],
	['mirror.io/vendored/a:1', 'mirror.io/vendored/a:1', true],
	['mirror.io/other:1', 'mirror.io/other:1', true],
]);
