import {CancelledError, FailedError} from '../base/errors.js';
import {assertAttachment} from './attachment.js';
import type {Chain} from './chain.js';
import type {Attachment, AttachResult} from './cni.js';
import type {JsonObject, NetworkConfig} from './config.js';
import {runDel} from './detach.js';
import {execPlugin, findPlugin} from './exec.js';
import {parseResult, podIps, POD_INTERFACE} from './result.js';
import {dropsHostPorts} from './runtime-config.js';

/**
 * ADD of the whole chain, each plugin fed with the result of the one before (CNI spec 1.1, section 3, "Lifecycle & Ordering").
 *
 * @throws {InvalidArgumentError | FailedError} bad input or a plugin that is missing, with nothing done.
 * @throws {FailedError | TimedOutError | CancelledError} after DEL of the whole chain; should DEL fail too, that is logged and the cache keeps what a later detach needs.
 */
export async function attach(chain: Chain, network: NetworkConfig, attachment: Attachment, signal: AbortSignal | null): Promise<AttachResult> {
	assertAttachment(attachment);
	if (dropsHostPorts(network.plugins, attachment)) {
		chain.log.warn(
			{network: network.name, source: network.source, sandboxId: attachment.sandboxId},
			'no plugin of the network has the capability portMappings: host ports are not mapped',
		);
	}
	// Before anything is done: its DEL, too, would need the plugin.
	for (const {type} of network.plugins) await findPlugin(chain.host.binDirs, type);
	return await chain.admission.run(signal, async () => {
		await chain.cache.put(attachment.sandboxId, {network, result: null});
		const progress: Progress = {result: null};
		try {
			const ips = await runAdd(chain, network, attachment, {signal, progress});
			await chain.cache.put(attachment.sandboxId, {network, result: progress.result});
			return {ips};
		} catch (error) {
			await undo(chain, network, attachment, progress.result);
			throw error;
		}
	});
}

/** The result so far: DEL after a failure gets it, for plugins that find their traces by it. */
interface Progress {
	result: JsonObject | null;
}

async function runAdd(
	chain: Chain,
	network: NetworkConfig,
	attachment: Attachment,
	{signal, progress}: {readonly signal: AbortSignal | null; readonly progress: Progress},
): Promise<readonly string[]> {
	for (const plugin of network.plugins) {
		const call = {command: 'ADD', network, plugin, attachment, netnsPath: attachment.netnsPath, prevResult: progress.result} as const;
		progress.result = parseResult(plugin.type, await execPlugin(chain.host, call, signal));
	}
	if (signal?.aborted === true) throw new CancelledError('pod network set-up cancelled by the client');
	const ips = podIps(progress.result ?? {});
	if (ips.length === 0)
		throw new FailedError(`network "${network.name}" (${network.source}) gave the pod no address on ${POD_INTERFACE}`, {network: network.name});
	return ips;
}

/** Not cancellable: whoever gave up the ADD wants nothing left. */
async function undo(chain: Chain, network: NetworkConfig, attachment: Attachment, result: JsonObject | null): Promise<void> {
	try {
		await runDel(chain, {network, result}, attachment);
		await chain.cache.delete(attachment.sandboxId);
	} catch (err) {
		chain.log.error({err, sandboxId: attachment.sandboxId, network: network.name}, 'undoing a failed pod network set-up failed; the next detach tries again');
	}
}
