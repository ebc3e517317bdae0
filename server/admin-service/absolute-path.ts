import {isAbsolute} from 'node:path';
import {InvalidArgumentError} from '../../base/errors.js';
import {requireText} from '../request.js';

/** @throws {InvalidArgumentError} */
export function requireAbsolutePath(field: string, value: string): string {
	const path = requireText(field, value);
	if (!isAbsolute(path) || path.includes('\0')) throw new InvalidArgumentError(`${field} must be absolute, is ${JSON.stringify(path)}`, {field});
	return path;
}
