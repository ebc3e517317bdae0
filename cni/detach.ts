import {statfs} from 'node:fs/promises';
import {CorruptError, FailedError} from '../base/errors.js';
import {assertAttachment} from './attachment.js';
import type {CacheRecord} from './cache.js';
import type {Chain} from './chain.js';
import type {Attachment} from './cni.js';
import type {NetworkConfig} from './config.js';
import {execPlugin} from './exec.js';

/** linux/magic.h: what statfs(2) says of a pinned namespace and of /proc/<pid>/ns/net. */
const NSFS_MAGIC = 0x6e736673;
const PROC_SUPER_MAGIC = 0x9fa0;

/**
 * DEL of the whole chain with the configuration that ADD used; without a cached one (it was lost, or DEL ran before), with `current`: DEL of what is not there succeeds.
 *
 * @throws {FailedError | TimedOutError} after every plugin had its DEL; the cache is kept for the next try.
 */
export async function detach(chain: Chain, current: NetworkConfig | null, attachment: Attachment): Promise<void> {
	if (!isAttachable(attachment)) return;
	await chain.admission.run(null, async () => {
		const record = (await cached(chain, attachment.sandboxId)) ?? (current === null ? null : {network: current, result: null});
		if (record === null) return;
		await runDel(chain, record, attachment);
		await chain.cache.delete(attachment.sandboxId);
	});
}

/**
 * Runs DEL of every plugin in reverse order, past failing ones. The caller holds an admission.
 *
 * @throws The plugin's error; of several, a FailedError that quotes them all.
 */
export async function runDel(chain: Chain, {network, result}: CacheRecord, attachment: Attachment): Promise<void> {
	const netnsPath = (await isNamespace(attachment.netnsPath)) ? attachment.netnsPath : '';
	const errors: Error[] = [];
	for (const plugin of network.plugins.toReversed()) {
		try {
			await execPlugin(chain.host, {command: 'DEL', network, plugin, attachment, netnsPath, prevResult: result}, null);
		} catch (error) {
			errors.push(error as Error);
		}
	}
	const [first, ...more] = errors;
	if (first === undefined) return;
	if (more.length === 0) throw first;
	throw new FailedError(errors.map(error => error.message).join('; '), {network: network.name}, {cause: new AggregateError(errors)});
}

/** attach refused such an attachment before any plugin ran: there is nothing to undo. */
function isAttachable(attachment: Attachment): boolean {
	try {
		assertAttachment(attachment);
		return true;
	} catch {
		return false;
	}
}

async function cached(chain: Chain, sandboxId: string): Promise<CacheRecord | null> {
	try {
		return await chain.cache.get(sandboxId);
	} catch (err) {
		if (!(err instanceof CorruptError)) throw err;
		chain.log.warn({err, sandboxId}, 'the pod network is removed by the current configuration');
		return null;
	}
}

/** A pin whose mount is gone leaves a plain file behind, which plugins refuse: that counts as gone. */
async function isNamespace(path: string): Promise<boolean> {
	if (path === '') return false;
	try {
		const {type} = await statfs(path);
		return type === NSFS_MAGIC || type === PROC_SUPER_MAGIC;
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code === 'ENOENT' || code === 'ENOTDIR') return false;
		throw error;
	}
}
