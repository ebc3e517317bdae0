import {backoff} from '../../base/backoff.js';
import {CancelledError, CorruptError, RuntimeError, UnavailableError} from '../../base/errors.js';
import type {Descriptor} from '../manifest.js';
import type {EndpointClient} from './endpoint-client.js';
import {EndpointFailure, toFailure} from './failure.js';
import type {FollowedAnswer} from './follow.js';
import type {Repository} from './repository.js';

const MAX_ATTEMPTS = 4;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;
/** An attempt that brings less is a failed one, else a server could feed us a byte per connection for ever. */
const MIN_PROGRESS_BYTES = 65_536;

/** The part [start, end) of a blob that is wanted. */
export interface Range {
	readonly start: number;
	readonly end: number;
}
/** An answer whose body begins at `start` of the blob. */
export interface OpenedBlob {
	readonly answer: FollowedAnswer;
	readonly client: EndpointClient;
	/** false: the whole blob comes, whatever was asked for. */
	readonly isPart: boolean;
	readonly start: number;
}

/**
 * One blob at its repository. A part that is cut or stalls is resumed where it ended, at the same endpoint while that brings something,
 * else at the next. What comes is not checked here: the digest is over all of the blob, so a change in between cannot pass unseen.
 */
export class BlobFetch {
	readonly #repository: Repository;
	readonly #descriptor: Descriptor;
	readonly #what: string;
	#first: EndpointClient | null = null;
	/** Where the registry keeps the blob: asked for once, not for each part. */
	#location: {readonly client: EndpointClient; readonly url: URL} | null = null;

	constructor(repository: Repository, descriptor: Descriptor, imageName: string) {
		this.#repository = repository;
		this.#descriptor = descriptor;
		this.#what = `blob ${descriptor.digest} of ${imageName}`;
	}

	/**
	 * The bytes of the part, in order.
	 *
	 * @param opened An answer to begin with, as open() gave it.
	 * @throws {CorruptError} more or fewer bytes than the blob's size. Else as Repository.ask.
	 */
	async *read({start, end}: Range, signal: AbortSignal, opened: OpenedBlob | null = null): AsyncGenerator<Uint8Array> {
		let at = start;
		let given = opened;
		let delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
		for (let failed = 0; ; ) {
			const before = at;
			let failure: EndpointFailure | null = null;
			const current = given ?? (await this.open({start: at, end}, signal));
			given = null;
			try {
				for await (const piece of this.#pieces(current, {start: at, end})) {
					at += piece.length;
					yield piece;
				}
			} catch (error) {
				if (error instanceof RuntimeError) throw error;
				if (signal.aborted) throw new CancelledError(`${this.#what}: cancelled`, {}, {cause: error});
				failure = toFailure(error);
			}
			if (at === end) return;
			failed = at - before >= MIN_PROGRESS_BYTES ? 0 : failed + 1;
			if (failed >= MAX_ATTEMPTS) throw this.#toError(current.client, at, failure);
			if (failed > 0) this.#first = this.#repository.after(current.client, 'pull');
			else delays = backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
			this.#location = null;
			await this.#repository.transport.clock.sleep(delays.next().value, this.#repository.untilClosed(signal));
			if (signal.aborted) throw new CancelledError(`${this.#what}: cancelled`);
		}
	}

	/** Asks for a part. @throws as Repository.ask */
	async open(range: Range, signal: AbortSignal): Promise<OpenedBlob> {
		return await this.#repository.ask(
			{
				what: this.#what,
				capability: 'pull',
				first: this.#first,
				attempt: async (client, either) => await this.#openAt(client, range, either),
			},
			signal,
		);
	}

	async #openAt(client: EndpointClient, range: Range, signal: AbortSignal): Promise<OpenedBlob> {
		const isWhole = range.start === 0 && range.end === this.#descriptor.size;
		const headers: Record<string, string> = isWhole ? {} : {range: `bytes=${range.start}-${range.end - 1}`};
		const answer = await this.#request(client, headers, signal);
		this.#first = client;
		this.#location = {client, url: answer.url};
		if (answer.status === 200) return {answer, client, isPart: false, start: 0};
		const {start, total} = parseContentRange(answer.header('content-range'));
		if (start === range.start && (total === null || total === this.#descriptor.size)) return {answer, client, isPart: true, start};
		answer.discard();
		throw new EndpointFailure('corrupt', `answers bytes ${start} of ${total ?? '?'} for bytes ${range.start} of ${this.#descriptor.size}`);
	}

	async #request(client: EndpointClient, headers: Record<string, string>, signal: AbortSignal): Promise<FollowedAnswer> {
		const known = this.#location?.client === client ? this.#location.url : null;
		const url = client.toUrl(`blobs/${this.#descriptor.digest}`);
		if (known !== null && known.href !== url.href) {
			try {
				return await client.request({method: 'GET', url: known, headers}, [200, 206], signal);
			} catch (error) {
				// A signed URL ends; the registry gives another.
				if (signal.aborted || !(error instanceof EndpointFailure)) throw error;
				this.#location = null;
			}
		}
		return await client.request({method: 'GET', url, headers}, [200, 206], signal);
	}

	/** Cuts an answer to the part. @throws {CorruptError} it has more than the blob. */
	async *#pieces({answer, isPart, start}: OpenedBlob, part: Range): AsyncGenerator<Uint8Array> {
		const limit = isPart ? part.end : this.#descriptor.size;
		let position = start;
		for await (const piece of answer.body) {
			const from = position;
			position += piece.length;
			if (position > limit) throw new CorruptError(`${this.#what} is longer than its size ${this.#descriptor.size}`);
			const wanted = piece.subarray(Math.max(0, part.start - from), Math.max(0, part.end - from));
			if (wanted.length > 0) yield wanted;
			if (position >= part.end && part.end < limit) return;
		}
	}

	#toError(client: EndpointClient, received: number, failure: EndpointFailure | null): RuntimeError {
		const ends = `ends after ${received} of ${this.#descriptor.size} bytes`;
		if (failure === null) return new CorruptError(`${this.#what}: ${client.host}: ${ends}`);
		return new UnavailableError(`${this.#what}: ${client.host}: ${ends}: ${failure.message}`, {}, {cause: failure});
	}
}

/** "bytes 100-199/200" → {100, 200}; a total of "*" is null. @throws {EndpointFailure} another form. */
function parseContentRange(header: string): {readonly start: number; readonly total: number | null} {
	const found = /^\s*bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)\s*$/i.exec(header);
	if (found === null) throw new EndpointFailure('corrupt', `answers a part without saying which (Content-Range ${JSON.stringify(header.slice(0, 100))})`);
	return {start: Number(found[1]), total: found[3] === '*' ? null : Number(found[3])};
}
