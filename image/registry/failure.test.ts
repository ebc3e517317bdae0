import test from 'ava';
import {CorruptError, InvalidArgumentError, NotFoundError, PermissionDeniedError, RuntimeError, UnavailableError} from '../../base/errors.js';
import {EndpointFailure, type FailureKind, type HostFailure, StallError, toError, toFailure} from './failure.js';

function mirror(kind: FailureKind, isReached = true): HostFailure {
	return {host: 'mirror:5000', isMirror: true, failure: new EndpointFailure(kind, `is ${kind}`, {isReached})};
}
function own(kind: FailureKind, isReached = true): HostFailure {
	return {host: 'quay.io', isMirror: false, failure: new EndpointFailure(kind, `is ${kind}`, {isReached})};
}

for (const [what, failures, expected] of [
	['the registry says', [mirror('unavailable'), own('missing')], NotFoundError],
	['the registry says, asked before a mirror', [own('unavailable'), mirror('missing')], UnavailableError],
	['the registry says no', [mirror('missing'), own('denied')], PermissionDeniedError],
	['the registry sends garbage', [mirror('missing'), own('corrupt')], CorruptError],
	['the last mirror says, where the registry cannot be reached', [mirror('denied'), mirror('missing'), own('unavailable', false)], NotFoundError],
	['nobody can be reached', [mirror('unavailable', false), own('unavailable', false)], UnavailableError],
] as const) {
	test(`toError: ${what}`, t => {
		const error = toError('quay.io/a:1', failures);
		t.true(error instanceof expected, error.name);
		for (const {host, failure} of failures) t.true(error.message.includes(`${host}: ${failure.message}`), error.message);
	});
}

test('toError gives what is wrong with the configuration as it is', t => {
	const wrong = new InvalidArgumentError('/etc/auth.json: is not JSON');
	t.is(toError('quay.io/a:1', [mirror('missing'), {host: 'quay.io', isMirror: false, failure: toFailure(wrong)}]), wrong);
});

test('toFailure knows what another try may help', t => {
	const withCode = (code: string): Error => Object.assign(new Error(code), {code});
	for (const code of ['ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET', 'EAI_AGAIN'])
		t.like(toFailure(withCode(code)), {kind: 'unavailable', isTransient: true, isReached: false});
	for (const code of ['ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID'])
		t.like(toFailure(withCode(code)), {kind: 'unavailable', isTransient: false, isReached: false});
	t.like(toFailure(new StallError('stalls')), {kind: 'unavailable', isTransient: true, isReached: true});
	t.true(toError('x', []) instanceof RuntimeError);
});
