import {CancelledError, CorruptError, ResourceExhaustedError, SyscallError} from '../base/errors.js';
import {addon, type Callback, type Failure} from './addon.js';
import type {Unpacker, UnpackRequest} from './native.js';

/** Kernel.openUnpacker. Steps of one unpacker run in the order they were asked for. @throws {CorruptError} {ResourceExhaustedError} {SyscallError} */
export async function openUnpacker(request: UnpackRequest): Promise<Unpacker> {
	const raw = new addon.Unpacker();
	let last: Promise<unknown> = Promise.resolve();
	const next = <T>(start: (callback: Callback<T>) => void): Promise<T> => {
		const step = last.then(() => call(start));
		last = step.catch(() => {});
		return step;
	};
	await next<void>(done => raw.open(request.targetDir, request.compression, request.maxBytes, request.maxInodes, done));
	let failed: unknown = null;
	const guarded = async <T>(start: (callback: Callback<T>) => void): Promise<T> => {
		// After a failure the native side must not be asked again.
		if (failed !== null) throw failed;
		try {
			return await next(start);
		} catch (error) {
			failed ??= error;
			throw error;
		}
	};
	return {
		write: async chunk => await guarded<void>(done => raw.write(chunk, done)),
		finish: async () => await guarded(done => raw.finish(done)),
		abort: async () => {
			failed ??= new CancelledError('unpacking aborted');
			raw.abort();
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
	if (errno !== 0) return new SyscallError(stage, errno, path);
	if (path === 'limit') return new ResourceExhaustedError(stage);
	return path === 'aborted' ? new CancelledError('unpacking aborted') : new CorruptError(stage);
}
