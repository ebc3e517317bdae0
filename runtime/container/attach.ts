import {NotFoundError, ResourceExhaustedError, SyscallError, UnimplementedError, WrongStateError} from '../../base/errors.js';
import type {AttachSession} from '../../native/native.js';
import type {Runtime} from '../runtime.js';
import {assertAttachable} from './record.js';

const ENOENT = 2;
const ESRCH = 3;
const EBUSY = 16;
const ENOSYS = 38;

export interface AttachOptions {
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
}

/**
 * Attach of the CRI: joins the streams of a container that was created or runs. A stdin that the container does not have is not an error: there is none then.
 *
 * @throws {NotFoundError | WrongStateError} no such container, or it has exited. {ResourceExhaustedError} too many are attached.
 */
export async function openAttach(runtime: Runtime, containerId: string, options: AttachOptions): Promise<AttachSession> {
	const container = runtime.state.findContainer(containerId);
	assertAttachable(container);
	try {
		return await runtime.monitors.get(container.sandboxId).attach({containerId: container.id, ...options, stdinOnce: container.stdinOnce});
	} catch (error) {
		throw error instanceof SyscallError ? toReason(error, container.id) : error;
	}
}

/** The monitor's word is later than the record's: the container may have ended in between. */
function toReason(error: SyscallError, containerId: string): Error {
	switch (error.errno) {
		case ENOENT:
			return new NotFoundError('container', containerId);
		case ESRCH:
			return new WrongStateError('container', containerId, 'exited', 'created or running');
		case EBUSY:
			return new ResourceExhaustedError(`too many clients are attached to containers of the pod of container "${containerId}"`, {containerId});
		case ENOSYS:
			return new UnimplementedError('the monitor of the pod was started by an earlier version, which knows no attach', {containerId}, {cause: error});
		default:
			return error;
	}
}
