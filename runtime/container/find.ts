import {NotFoundError} from '../../base/errors.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {ContainerRecord} from './record.js';

/** For a record that went away between finding its id and taking its lock. @throws {NotFoundError} */
export function assertFound<T extends SandboxRecord | ContainerRecord>(record: T | null, id: string): T {
	if (record === null) throw new NotFoundError('container', id);
	return record;
}
