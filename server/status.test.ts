import {status} from '@grpc/grpc-js';
import {writeFile} from 'node:fs/promises';
import test from 'ava';
import {
	AlreadyExistsError,
	CancelledError,
	CorruptError,
	FailedError,
	InvalidArgumentError,
	NotFoundError,
	PermissionDeniedError,
	ResourceExhaustedError,
	SyscallError,
	TimedOutError,
	UnavailableError,
	UnimplementedError,
	WrongStateError,
} from '../base/errors.js';
import {GRPC_STATUS, toStatus} from './status.js';

const table = [
	[new InvalidArgumentError('x'), status.INVALID_ARGUMENT],
	[new NotFoundError('container', 'c1'), status.NOT_FOUND],
	[new AlreadyExistsError('x'), status.ALREADY_EXISTS],
	[new WrongStateError('container', 'c1', 'exited', 'created'), status.FAILED_PRECONDITION],
	[new UnimplementedError('x'), status.UNIMPLEMENTED],
	[new UnavailableError('x'), status.UNAVAILABLE],
	[new PermissionDeniedError('x'), status.PERMISSION_DENIED],
	[new ResourceExhaustedError('x'), status.RESOURCE_EXHAUSTED],
	[new SyscallError('mount', 2, '/proc'), status.INTERNAL],
	[new CorruptError('x'), status.DATA_LOSS],
	[new TimedOutError('x'), status.DEADLINE_EXCEEDED],
	[new CancelledError('x'), status.CANCELLED],
	[new FailedError('x'), status.UNKNOWN],
	[new TypeError('x is not a function'), status.INTERNAL],
	['a thrown string', status.INTERNAL],
] as const;

for (const [error, code] of table) {
	const what = error instanceof Error ? error.name : 'anything else';
	test(`toStatus of ${what} is ${status[code]} with its message`, t => {
		t.deepEqual(toStatus(error), {code, details: error instanceof Error ? error.message : error});
	});
}

test('the table above has every error code', t => {
	const codes = new Set(table.flatMap(([error]) => (error instanceof Error && 'code' in error ? [error.code] : [])));
	t.deepEqual([...codes].sort(), Object.keys(GRPC_STATUS).sort());
});

test('toStatus makes a text that fits a header and that encodeURI takes', t => {
	const {details} = toStatus(new FailedError(`plugin said \ud800 ${'é'.repeat(100_000)}`));
	t.notThrows(() => encodeURI(details));
	t.true(encodeURI(details).length < 65_536);
});

test('a full disk or quota is RESOURCE_EXHAUSTED, whoever met it', async t => {
	const full = await t.throwsAsync(writeFile('/dev/full', 'x'));
	t.deepEqual(toStatus(full), {code: status.RESOURCE_EXHAUSTED, details: 'ENOSPC: no space left on device, write'});
	t.is(toStatus(new SyscallError('write', 28, 'usr/bin/x')).code, status.RESOURCE_EXHAUSTED);
	t.is(toStatus(new SyscallError('write', 122, 'usr/bin/x')).code, status.RESOURCE_EXHAUSTED);
	t.is(toStatus(new SyscallError('write', 5, 'usr/bin/x')).code, status.INTERNAL);
});
