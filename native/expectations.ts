import {AlreadyExistsError} from '../base/errors.js';

interface Waiting<Value> {
	readonly resolve: (value: Value) => void;
	readonly reject: (error: Error) => void;
}

/** Facts that come up by id, each for whoever asked to hear it. */
export class Expectations<Value> {
	readonly #what: string;
	readonly #waiting = new Map<string, Waiting<Value>>();

	/** @param what Names the things in errors: "exec". */
	constructor(what: string) {
		this.#what = what;
	}

	/**
	 * To be asked before the request that leads to the fact.
	 *
	 * @throws {AlreadyExistsError} the id is in use.
	 */
	expect(id: string): Promise<Value> {
		if (this.#waiting.has(id)) throw new AlreadyExistsError(`an ${this.#what} with the id "${id}" runs`, {id});
		const fact = new Promise<Value>((resolve, reject) => this.#waiting.set(id, {resolve, reject}));
		// The caller may fail before it waits.
		fact.catch(() => {});
		return fact;
	}

	/** Idempotent. */
	forget(id: string): void {
		this.#waiting.delete(id);
	}

	/** The fact came. One that nobody waits for is passed over. */
	tell(id: string, value: Value): void {
		this.#waiting.get(id)?.resolve(value);
	}

	/** None will come any more. */
	rejectAll(error: Error): void {
		for (const {reject} of this.#waiting.values()) reject(error);
		this.#waiting.clear();
	}
}
