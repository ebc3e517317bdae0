import {UnavailableError} from '../../base/errors.js';
import type {Launcher, Monitor} from '../../native/native.js';

/** The connected monitors by sandbox id. */
export class Monitors {
	readonly #monitors = new Map<string, Monitor>();

	add(monitor: Monitor): void {
		this.#monitors.set(monitor.sandboxId, monitor);
	}

	delete(sandboxId: string): void {
		this.#monitors.delete(sandboxId);
	}

	find(sandboxId: string): Monitor | null {
		return this.#monitors.get(sandboxId) ?? null;
	}

	/** @throws {UnavailableError} the pod's monitor is dead. */
	get(sandboxId: string): Monitor {
		const monitor = this.#monitors.get(sandboxId);
		if (monitor === undefined) throw new UnavailableError(`the monitor of pod sandbox "${sandboxId}" is gone`, {sandboxId});
		return monitor;
	}

	/** Connects to a monitor that outlived the last daemon. */
	async reconnect(launcher: Launcher, sandboxId: string): Promise<Monitor | null> {
		const monitor = await launcher.findMonitor(sandboxId);
		if (monitor !== null) this.add(monitor);
		return monitor;
	}
}
