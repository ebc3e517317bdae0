import {constants} from 'node:os';
import {CancelledError, CorruptError, ResourceExhaustedError, SyscallError} from '../base/errors.js';
import {addon, type Callback, type Failure} from './addon.js';
import type {Unpacker, UnpackRequest} from './native.js';

/** Kernel.openUnpacker. Steps of one unpacker run in the order they were asked for. @throws {CorruptError} {ResourceExhaustedError} {SyscallError} */
export async function openUnpacker(request: UnpackRequest): Promise<Unpacker> {
	const raw = new addon.Unpacker();
	await call<void>(done => raw.open(request.targetDir, request.compression, request.maxBytes, request.maxInodes, done));
	let last: Promise<unknown> = Promise.resolve();
	let failed: unknown = null;
	const next = async <T>(start: (callback: Callback<T>) => void): Promise<T> => {
		const step = last.then(async () => {
			// After a failure the native side must not be asked again.
			if (failed !== null) throw failed;
			return await call(start);
		});
		last = step.catch(error => {
			failed ??= error;
		});
		return await step;
	};
	let aborting: Promise<void> | null = null;
	return {
		write: async chunk =>
			await next<void>(done => {
				if (raw.write(chunk, done)) done(null, undefined);
			}),
		finish: async () => await next(done => raw.finish(done)),
		abort: async () => {
			failed ??= new CancelledError('unpacking aborted');
			aborting ??= call<void>(done => raw.abort(done));
			await aborting;
			await last;
		},
	};
}

async function call<T>(start: (callback: Callback<T>) => void): Promise<T> {
	return await new Promise((resolve, reject) => {
		start((failure, value) => (failure === null ? resolve(value) : reject(toError(failure))));
	});
}

function toError({stage, errno, path}: Failure): Error {
	if (errno === constants.errno.ENOSPC || errno === constants.errno.EDQUOT) {
		return new ResourceExhaustedError(`${stage} of entry "${path}": no space left on the filesystem`, {path, errno});
	}
	if (errno !== 0) return new SyscallError(stage, errno, path);
	if (path === 'limit') return new ResourceExhaustedError(stage);
	return path === 'aborted' ? new CancelledError('unpacking aborted') : new CorruptError(stage);
}
