import type {ServiceError} from '@grpc/grpc-js';
import type {ExecutionContext} from 'ava';

/** The call must fail with this gRPC code and say what fits `message`. */
export async function assertRefused(t: ExecutionContext, code: number, message: RegExp, call: Promise<unknown>): Promise<void> {
	const error: ServiceError | null = await call.then(
		() => null,
		(failed: ServiceError) => failed,
	);
	if (error === null) {
		t.fail(`not refused; expected ${String(message)}`);
		return;
	}
	t.is(error.code, code, error.message);
	t.regex(error.details, message);
}
