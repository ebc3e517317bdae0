import {InvalidArgumentError} from '../base/errors.js';
import type {Attachment} from './cni.js';
import {CNI_NAME} from './config.js';

/**
 * Refuses what cannot be told to a plugin.
 *
 * @throws {InvalidArgumentError} naming field and rule.
 */
export function assertAttachment(attachment: Attachment): void {
	if (!CNI_NAME.test(attachment.sandboxId)) throw invalid('sandboxId', 'must start with a letter or digit, then letters, digits, "_", "." and "-"');
	for (const field of ['podName', 'podNamespace', 'podUid'] as const) {
		// CNI_ARGS has no escapes: such a name would smuggle in further arguments.
		if (/[;=\0]/.test(attachment[field])) throw invalid(field, 'must not contain ";" or "=": it becomes part of CNI_ARGS');
	}
	for (const [index, {containerPort, hostPort}] of attachment.portMappings.entries()) {
		if (!isPort(hostPort) && hostPort !== 0) throw invalid(`portMappings[${index}].hostPort`, `must be 0 to 65535, is ${hostPort}`);
		if (!isPort(containerPort)) throw invalid(`portMappings[${index}].containerPort`, `must be 1 to 65535, is ${containerPort}`);
	}
}

function isPort(port: number): boolean {
	return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function invalid(field: string, rule: string): InvalidArgumentError {
	return new InvalidArgumentError(`${field}: ${rule}`, {field, rule});
}
