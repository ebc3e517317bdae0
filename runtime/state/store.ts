import {NotFoundError} from '../../base/errors.js';
import type {ContainerRecord} from '../container/record.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {AnyRecord, Entry} from './codec.js';

/**
 * All known records. Reads are from memory; a change is visible only after the journal took it, so the daemon's death loses nothing.
 * Writers hold the object's lock.
 */
export class StateStore {
	readonly #containers = new Map<string, ContainerRecord>();
	readonly #sandboxes = new Map<string, SandboxRecord>();
	/** Sandbox id → ids of its containers. */
	readonly #members = new Map<string, Set<string>>();
	readonly #sandboxNames = new Map<string, string>();
	readonly #containerNames = new Map<string, string>();
	readonly #exitWaiters = new Map<string, Set<() => void>>();
	readonly #append: (entry: Entry) => Promise<void>;

	constructor(append: (entry: Entry) => Promise<void>, records: Iterable<AnyRecord> = []) {
		this.#append = append;
		for (const record of records) this.#show(record);
	}

	/** By full id; null when absent. */
	sandbox(id: string): SandboxRecord | null {
		return this.#sandboxes.get(id) ?? null;
	}

	/** By full id; null when absent. */
	container(id: string): ContainerRecord | null {
		return this.#containers.get(id) ?? null;
	}

	/** By id or unique id prefix, as crictl sends. @throws {NotFoundError} none, or more than one. */
	findSandbox(idOrPrefix: string): SandboxRecord {
		return findByPrefix(this.#sandboxes, 'pod sandbox', idOrPrefix);
	}

	/** By id or unique id prefix, as crictl sends. @throws {NotFoundError} none, or more than one. */
	findContainer(idOrPrefix: string): ContainerRecord {
		return findByPrefix(this.#containers, 'container', idOrPrefix);
	}

	sandboxByName(name: string): SandboxRecord | null {
		return this.sandbox(this.#sandboxNames.get(name) ?? '');
	}

	containerByName(name: string): ContainerRecord | null {
		return this.container(this.#containerNames.get(name) ?? '');
	}

	sandboxes(): IterableIterator<SandboxRecord> {
		return this.#sandboxes.values();
	}

	containers(): IterableIterator<ContainerRecord> {
		return this.#containers.values();
	}

	containersOf(sandboxId: string): readonly ContainerRecord[] {
		return [...(this.#members.get(sandboxId) ?? [])].flatMap(id => this.container(id) ?? []);
	}

	*records(): Generator<AnyRecord> {
		yield* this.#sandboxes.values();
		yield* this.#containers.values();
	}

	async put(record: AnyRecord): Promise<void> {
		await this.#append({op: 'put', record});
		this.#show(record);
	}

	/** Idempotent. */
	async delete(record: AnyRecord): Promise<void> {
		if (record.kind === 'sandbox' ? !this.#sandboxes.has(record.id) : !this.#containers.has(record.id)) return;
		await this.#append({op: 'delete', kind: record.kind, id: record.id});
		this.#hide(record);
	}

	/** Resolves when the container is exited or gone, or with false when `signal` aborts before. */
	whenExited(id: string, signal: AbortSignal): Promise<boolean> {
		return new Promise(resolve => {
			const phase = this.#containers.get(id)?.state.phase;
			if (phase === undefined || phase === 'exited') return resolve(true);
			const waiters = this.#exitWaiters.get(id) ?? new Set();
			this.#exitWaiters.set(id, waiters);
			const settle = (exited: boolean): void => {
				waiters.delete(onExit);
				if (waiters.size === 0) this.#exitWaiters.delete(id);
				signal.removeEventListener('abort', onAbort);
				resolve(exited);
			};
			const onExit = (): void => settle(true);
			const onAbort = (): void => settle(false);
			waiters.add(onExit);
			if (signal.aborted) onAbort();
			else signal.addEventListener('abort', onAbort, {once: true});
		});
	}

	#show(record: AnyRecord): void {
		if (record.kind === 'sandbox') {
			this.#sandboxes.set(record.id, record);
			this.#sandboxNames.set(sandboxName(record.metadata), record.id);
			return;
		}
		this.#containers.set(record.id, record);
		this.#containerNames.set(containerName(record.sandboxId, record.metadata), record.id);
		const members = this.#members.get(record.sandboxId);
		if (members === undefined) this.#members.set(record.sandboxId, new Set([record.id]));
		else members.add(record.id);
		if (record.state.phase === 'exited') this.#wakeExitWaiters(record.id);
	}

	#hide(record: AnyRecord): void {
		if (record.kind === 'sandbox') {
			this.#sandboxes.delete(record.id);
			const name = sandboxName(record.metadata);
			if (this.#sandboxNames.get(name) === record.id) this.#sandboxNames.delete(name);
			return;
		}
		this.#containers.delete(record.id);
		const name = containerName(record.sandboxId, record.metadata);
		if (this.#containerNames.get(name) === record.id) this.#containerNames.delete(name);
		const members = this.#members.get(record.sandboxId);
		members?.delete(record.id);
		if (members?.size === 0) this.#members.delete(record.sandboxId);
		this.#wakeExitWaiters(record.id);
	}

	#wakeExitWaiters(id: string): void {
		for (const wake of [...(this.#exitWaiters.get(id) ?? [])]) wake();
	}
}

/** The key under which a retried RunPodSandbox finds the first one (the CRI's PodSandboxMetadata). */
export function sandboxName(metadata: SandboxRecord['metadata']): string {
	return JSON.stringify([metadata.namespace, metadata.name, metadata.uid, metadata.attempt]);
}

/** The key under which a retried CreateContainer finds the first one (the CRI's ContainerMetadata, within its pod sandbox). */
export function containerName(sandboxId: string, metadata: ContainerRecord['metadata']): string {
	return JSON.stringify([sandboxId, metadata.name, metadata.attempt]);
}

function findByPrefix<T extends AnyRecord>(records: ReadonlyMap<string, T>, kind: 'container' | 'pod sandbox', idOrPrefix: string): T {
	const exact = records.get(idOrPrefix);
	if (exact !== undefined) return exact;
	let only: T | undefined;
	// Only people type prefixes; the kubelet's calls never get here.
	for (const record of idOrPrefix === '' ? [] : records.values()) {
		if (!record.id.startsWith(idOrPrefix)) continue;
		if (only !== undefined) throw new NotFoundError(kind, `${idOrPrefix} (the prefix fits several)`);
		only = record;
	}
	if (only === undefined) throw new NotFoundError(kind, idOrPrefix);
	return only;
}
