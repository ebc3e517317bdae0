import type {ExecSyncRequest__Output, ExecSyncResponse} from '../../proto/cri.js';
import {execSync} from '../../runtime/container/exec-sync.js';
import type {Call} from '../call.js';
import {MAX_MESSAGE_BYTES} from '../grpc.js';
import {findContainer, toTimeoutMs} from '../request.js';

/** Tags, lengths and the exit code of the reply. */
const ENVELOPE_BYTES = 1024;

/**
 * ExecSync. A non-zero exit is a normal reply. Output beyond what one message may carry is dropped without an error (api.proto, ExecSyncResponse).
 *
 * FAILED_PRECONDITION: not running. DEADLINE_EXCEEDED: the timeout passed and the command was killed; the kubelet's probes rely on that code.
 */
export async function handleExecSync({runtime, signal}: Call, request: ExecSyncRequest__Output): Promise<ExecSyncResponse> {
	const timeoutMs = toTimeoutMs('timeout', request.timeout);
	const {id} = findContainer(runtime, 'container_id', request.container_id);
	const result = await execSync(runtime, id, request.cmd, timeoutMs, signal);
	const [stdout, stderr] = fit(result.stdout, result.stderr, MAX_MESSAGE_BYTES - ENVELOPE_BYTES);
	return {stdout: toBuffer(stdout), stderr: toBuffer(stderr), exit_code: result.exitCode};
}

/** Cuts both to `roomBytes` together: the shorter keeps up to half, the longer takes what is left. */
export function fit(stdout: Uint8Array, stderr: Uint8Array, roomBytes: number): readonly [Uint8Array, Uint8Array] {
	if (stdout.length + stderr.length <= roomBytes) return [stdout, stderr];
	const stderrBytes = Math.min(stderr.length, Math.max(Math.floor(roomBytes / 2), roomBytes - stdout.length));
	return [stdout.subarray(0, roomBytes - stderrBytes), stderr.subarray(0, stderrBytes)];
}

function toBuffer(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
