import {SyscallError} from '../../../base/errors.js';
import {TtrpcStatusError} from './ttrpc.js';

const ENOENT = 2;
const EACCES = 13;

/** What runc and crun say when the program cannot be executed, as the kernel would; null: another failure. */
export function toExecFailure(error: unknown, program: string): SyscallError | null {
	if (!(error instanceof TtrpcStatusError)) return null;
	if (/executable file.* not found|exec: .*no such file or directory/i.test(error.message)) return new SyscallError('exec', ENOENT, program);
	if (/exec: .*(?:permission denied|is a directory)/i.test(error.message)) return new SyscallError('exec', EACCES, program);
	return null;
}
