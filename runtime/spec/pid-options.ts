import {InvalidArgumentError} from '../../base/errors.js';
import {NamespaceMode, type NamespaceOption__Output} from '../../proto/cri.js';

/** @throws {InvalidArgumentError} a mode that the CRI does not have, or a target without TARGET and the other way round. */
export function assertPidOptions({pid, target_id}: NamespaceOption__Output): void {
	const refuse = (field: string, rule: string): never => {
		throw new InvalidArgumentError(`namespace_options.${field}: ${rule}`, {field: `namespace_options.${field}`});
	};
	if (!Object.values(NamespaceMode).includes(pid)) refuse('pid', `${String(pid)} is unknown`);
	if (pid === NamespaceMode.TARGET && target_id === '') refuse('target_id', 'TARGET needs the id of a container');
	if (pid !== NamespaceMode.TARGET && target_id !== '') refuse('target_id', 'only with pid TARGET');
}
