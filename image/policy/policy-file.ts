import type {Logger} from '../../base/log.js';
import {loadPolicy, type Policy, type PolicyRequest, SignatureRefusedError} from './policy.js';

/**
 * The policy that holds now: the file is read for each image, so that an edit counts from the next pull on and nothing can be stale.
 * It fails closed: while the file cannot be used, no image is accepted.
 */
export class PolicyFile {
	readonly #path: string | null;

	private constructor(path: string | null) {
		this.#path = path;
	}

	/** @param path null: every image is accepted. A file that cannot be used is logged, not thrown: pods that run already want their daemon. */
	static async open(path: string | null, log: Logger): Promise<PolicyFile> {
		if (path !== null) {
			try {
				await (await loadPolicy(path)).assertKeysUsable();
			} catch (error) {
				log.error({err: error}, 'the signature policy cannot be used: pulls are refused until it is mended');
			}
		}
		return new PolicyFile(path);
	}

	/** @throws {SignatureRefusedError} the policy does not allow the image, or cannot be used. Whatever the source throws. */
	async assertAllowed(request: PolicyRequest): Promise<void> {
		if (this.#path === null) return;
		let policy: Policy;
		try {
			policy = await loadPolicy(this.#path);
		} catch (error) {
			throw new SignatureRefusedError(`the signature policy cannot be used: ${(error as Error).message}`, {}, {cause: error});
		}
		await policy.assertAllowed(request);
	}
}
