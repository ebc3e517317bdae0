import {InvalidArgumentError} from '../../base/errors.js';
import type {SELinuxOption__Output} from '../../proto/cri.js';

/** What container-selinux, the policy of containers everywhere, calls them. */
const PROCESS = {user: 'system_u', role: 'system_r', type: 'container_t', level: 's0'} as const;
const FILES = {user: 'system_u', role: 'object_r', type: 'container_file_t'} as const;
const FIELD = 'security_context.selinux_options';

/** user:role:type:level. */
export interface SelinuxLabels {
	readonly process: string;
	readonly files: string;
}

/** @throws {InvalidArgumentError} what no part of a label can be. */
export function assertSelinux(options: SELinuxOption__Output | null): void {
	for (const part of ['user', 'role', 'type'] as const) {
		if (!/^[\w.-]*$/.test(options?.[part] ?? ''))
			throw new InvalidArgumentError(`${FIELD}.${part} "${options?.[part] ?? ''}" is malformed`, {field: `${FIELD}.${part}`});
	}
	if (!/^[\w:.,-]*$/.test(options?.level ?? ''))
		throw new InvalidArgumentError(`${FIELD}.level "${options?.level ?? ''}" is malformed`, {field: `${FIELD}.level`});
}

/** null: nothing is asked for. What is left out is as the policy of containers has it. */
export function toSelinuxLabels(options: SELinuxOption__Output | null): SelinuxLabels | null {
	const {user = '', role = '', type = '', level = ''} = options ?? {};
	if (user + role + type + level === '') return null;
	const at = level || PROCESS.level;
	return {
		process: `${user || PROCESS.user}:${role || PROCESS.role}:${type || PROCESS.type}:${at}`,
		files: `${FILES.user}:${FILES.role}:${FILES.type}:${at}`,
	};
}
