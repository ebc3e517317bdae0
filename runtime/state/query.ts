import type {ContainerRecord} from '../container/record.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {StateStore} from './store.js';

/** PodSandboxFilter of the CRI; '' and null = any. */
export interface SandboxFilter {
	/** Id or prefix of one. */
	readonly id: string;
	readonly state: 'ready' | 'notReady' | null;
	readonly labels: Readonly<Record<string, string>>;
}

/** ContainerFilter of the CRI; '' and null = any. */
export interface ContainerFilter {
	readonly id: string;
	readonly sandboxId: string;
	readonly state: 'created' | 'running' | 'exited' | null;
	readonly labels: Readonly<Record<string, string>>;
}

/** What is still being created is not listed. */
export function listSandboxes(state: StateStore, filter: SandboxFilter): readonly SandboxRecord[] {
	const found: SandboxRecord[] = [];
	for (const record of candidates(state.sandbox(filter.id), state.sandboxes())) {
		if (record.state.phase === 'creating' || !record.id.startsWith(filter.id)) continue;
		if (filter.state !== null && (record.state.phase === 'ready') !== (filter.state === 'ready')) continue;
		if (hasLabels(record.labels, filter.labels)) found.push(record);
	}
	return found;
}

/** What is still being created is not listed. */
export function listContainers(state: StateStore, filter: ContainerFilter): readonly ContainerRecord[] {
	const found: ContainerRecord[] = [];
	const exactSandbox = filter.sandboxId !== '' && state.sandbox(filter.sandboxId) !== null;
	const all = exactSandbox ? state.containersOf(filter.sandboxId) : state.containers();
	for (const record of candidates(state.container(filter.id), all)) {
		if (record.state.phase === 'creating' || !record.id.startsWith(filter.id) || !record.sandboxId.startsWith(filter.sandboxId)) continue;
		if (filter.state !== null && record.state.phase !== filter.state) continue;
		if (hasLabels(record.labels, filter.labels)) found.push(record);
	}
	return found;
}

/** A full id needs no walk through all the others. */
function candidates<T>(exact: T | null, all: Iterable<T>): Iterable<T> {
	return exact === null ? all : [exact];
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
	return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
