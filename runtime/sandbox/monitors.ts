import {UnavailableError} from '../../base/errors.js';
import type {PodRuntime} from '../handler/handler.js';
import type {RuntimeHandlers} from '../handler/handlers.js';
import type {SandboxRecord} from './record.js';

/** The connected pods by sandbox id, each by the monitor that its handler gave. */
export class Monitors {
	readonly #monitors = new Map<string, PodRuntime>();

	add(monitor: PodRuntime): void {
		this.#monitors.set(monitor.sandboxId, monitor);
	}

	delete(sandboxId: string): void {
		this.#monitors.delete(sandboxId);
	}

	find(sandboxId: string): PodRuntime | null {
		return this.#monitors.get(sandboxId) ?? null;
	}

	/** @throws {UnavailableError} the pod's monitor is dead. */
	get(sandboxId: string): PodRuntime {
		const monitor = this.#monitors.get(sandboxId);
		if (monitor === undefined) throw new UnavailableError(`the monitor of pod sandbox "${sandboxId}" is gone`, {sandboxId});
		return monitor;
	}

	/** Connects to a pod that outlived the last daemon. */
	async reconnect(handlers: RuntimeHandlers, record: SandboxRecord): Promise<PodRuntime | null> {
		const monitor = await handlers.of(record).findPod(record);
		if (monitor !== null) this.add(monitor);
		return monitor;
	}
}
