import {POD_INTERFACE} from '../../cni/result.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {NetworkFacts} from './facts.js';
import type {FilePass} from './file-pass.js';
import {parseNetDev} from './parse.js';

/**
 * Asks for the interface counters of a pod: of the network namespace that its monitor lives in, which proc shows without entering it.
 * On the host's network there are none: they would be the node's.
 *
 * @returns what to call after the pass.
 */
export function addNetwork(pass: FilePass, {monitors}: Pick<Runtime, 'monitors'>, sandbox: SandboxRecord): () => NetworkFacts | null {
	const monitor = sandbox.attachment === null ? null : monitors.find(sandbox.id);
	const text = pass.add(monitor === null ? null : `/proc/${monitor.pid}/net/dev`);
	return () => toNetwork(text());
}

/** @param text of /proc/<pid>/net/dev; null: it could not be read. */
export function toNetwork(text: string | null): NetworkFacts | null {
	if (text === null) return null;
	const interfaces = parseNetDev(text);
	const defaultInterface = interfaces.find(({name}) => name === POD_INTERFACE) ?? interfaces[0] ?? null;
	return {defaultInterface, interfaces: interfaces.filter(found => found !== defaultInterface)};
}
