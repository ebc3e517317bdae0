import {InvalidArgumentError, UnavailableError} from '../../base/errors.js';
import type {Kernel, Launcher} from '../../native/native.js';
import type {SandboxRecord} from '../sandbox/record.js';
import type {UserNamespaceSupport} from '../sandbox/user-namespace-support.js';
import type {HandlerOptions, RuntimeHandler} from './handler.js';
import {openOciHandler} from './oci/handler.js';
import {nativeHandler} from './native-handler.js';
import {Shims, type ShimParts} from './shim-v2/handler.js';
import {readSavedHandler} from './shim-v2/saved-handler.js';
import {unconfiguredHandler} from './unconfigured-handler.js';

export interface HandlerParts {
	readonly launcher: Launcher;
	readonly kernel: Kernel;
	readonly userNamespaces: UserNamespaceSupport;
	/** Used only when a handler is of type shim-v2, or a pod was made by such a one. */
	readonly shims: ShimParts;
}

/** What the handlers of type shim-v2 share, opened when the first pod or handler wants it. */
export class LazyShims {
	readonly #parts: ShimParts;
	#opening: Promise<Shims> | null = null;

	constructor(parts: ShimParts) {
		this.#parts = parts;
	}

	async open(): Promise<Shims> {
		this.#opening ??= Shims.open(this.#parts);
		try {
			return await this.#opening;
		} catch (error) {
			this.#opening = null;
			throw error;
		}
	}

	/** By what was kept when the pod was made. null: it was made by no shim. */
	async findSaved({id}: SandboxRecord): Promise<RuntimeHandler | null> {
		const options = await readSavedHandler(this.#parts.runDir, id);
		return options === null ? null : await (await this.open()).openHandler(options);
	}

	async close(): Promise<void> {
		await (await this.#opening)?.close();
	}
}

/** The configured ways to run pods, by name; '' = native is always there. */
export class RuntimeHandlers {
	readonly #handlers = new Map<string, RuntimeHandler>();
	readonly #launcher: Launcher;
	readonly #shims: LazyShims | null;

	constructor(launcher: Launcher, handlers: readonly RuntimeHandler[], shims: LazyShims | null = null) {
		this.#shims = shims;
		this.#launcher = launcher;
		for (const handler of handlers) this.#handlers.set(handler.name, handler);
	}

	/** Lets go of what the handlers hold in the daemon; the pods go on. */
	async close(): Promise<void> {
		await this.#shims?.close();
	}

	/** The default first, then as configured. */
	list(): readonly RuntimeHandler[] {
		return [...this.#handlers.values()];
	}

	/**
	 * For a new pod.
	 *
	 * @throws {InvalidArgumentError} not configured; names those that are. {UnavailableError} its runtime cannot be used on this node.
	 */
	choose(name: string): RuntimeHandler {
		const field = 'runtime_handler';
		const handler = this.#handlers.get(name);
		if (handler === undefined) {
			const configured = this.list().map(each => `"${each.name}" (${each.type})`);
			throw new InvalidArgumentError(`${field} "${name}" is not configured; configured: ${configured.join(', ')}`, {field});
		}
		if (handler.problem !== null) throw new UnavailableError(`${field} "${name}" cannot be used on this node: ${handler.problem}`, {field});
		return handler;
	}

	/** Of a pod that there is. One whose handler was taken out of the config since then can be looked at, stopped and removed. */
	of({runtimeHandler}: Pick<SandboxRecord, 'runtimeHandler'>): RuntimeHandler {
		const findSaved = async (record: SandboxRecord): Promise<RuntimeHandler | null> => (await this.#shims?.findSaved(record)) ?? null;
		return this.#handlers.get(runtimeHandler) ?? unconfiguredHandler(runtimeHandler, {launcher: this.#launcher, findSaved});
	}
}

/** Looks at each configured runtime. Never throws for one that cannot be used: its `problem` says why. */
export async function openHandlers(options: readonly HandlerOptions[], parts: HandlerParts): Promise<RuntimeHandlers> {
	const shims = new LazyShims(parts.shims);
	const handlers = await Promise.all(options.map(one => openHandler(one, {parts, shims})));
	return new RuntimeHandlers(parts.launcher, [nativeHandler('', parts.launcher, parts.userNamespaces), ...handlers], shims);
}

async function openHandler(options: HandlerOptions, {parts, shims}: {readonly parts: HandlerParts; readonly shims: LazyShims}): Promise<RuntimeHandler> {
	const {name} = options;
	if (options.type === 'oci') return await openOciHandler(options, parts);
	if (options.type === 'shim-v2') return await (await shims.open()).openHandler(options);
	return nativeHandler(name, parts.launcher, parts.userNamespaces);
}
