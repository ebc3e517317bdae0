import type {Clock} from '../../../base/clock.js';
import {FailedError, TimedOutError} from '../../../base/errors.js';
import {toText, type DbusValue} from './dbus-codec.js';
import {DbusConnection, isDbusError} from './dbus.js';
import type {DbusMessage} from './dbus-message.js';

const SYSTEMD = 'org.freedesktop.systemd1';
const OBJECT = '/org/freedesktop/systemd1';
const MANAGER = 'org.freedesktop.systemd1.Manager';
const NO_SUCH_UNIT = 'org.freedesktop.systemd1.NoSuchUnit';
const UNIT_EXISTS = 'org.freedesktop.systemd1.UnitExists';
const JOB_TIMEOUT_MS = 30_000;
/** As long as sd-bus waits for an answer: pods' locks are held meanwhile. */
export const CALL_TIMEOUT_MS = 25_000;

export interface Scope {
	/** "….scope" */
	readonly name: string;
	/** "….slice"; made when missing. */
	readonly slice: string;
	readonly description: string;
	/** At least one: a scope without processes ends. */
	readonly pids: readonly number[];
}

/** systemd's manager over the bus, for transient units. Connects when it is needed, and anew when the bus was restarted. */
export class SystemdUnits {
	readonly #socketPath: string;
	readonly #clock: Clock;
	#connection: Promise<DbusConnection> | null = null;
	/** Results of jobs by object path: told by a signal, perhaps before the reply that names the job. */
	readonly #results = new Map<string, string>();
	readonly #waiting = new Map<string, (result: string) => void>();

	constructor(socketPath: string, clock: Clock) {
		this.#socketPath = socketPath;
		this.#clock = clock;
	}

	/** @throws {UnavailableError} no bus. {FailedError} no systemd on it. */
	async connect(): Promise<void> {
		await this.#call('GetDefaultTarget', '', []);
	}

	/**
	 * Makes a scope of running processes, whose cgroup is the caller's to fill (Delegate=yes). Success when it is there already.
	 *
	 * @throws {FailedError} systemd refuses it. {TimedOutError} it does not get to it.
	 */
	async startScope({name, slice, description, pids}: Scope): Promise<void> {
		const property = (key: string, signature: string, value: DbusValue): DbusValue => [key, {signature, value}];
		const properties = [
			property('Description', 's', description),
			property('Slice', 's', slice),
			property('PIDs', 'au', [...pids]),
			property('Delegate', 'b', true),
			property('DefaultDependencies', 'b', false),
			property('CollectMode', 's', 'inactive-or-failed'),
		];
		try {
			await this.#job('StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'replace', properties, []]);
		} catch (error) {
			if (!isDbusError(error, UNIT_EXISTS)) throw error;
		}
	}

	/** Ends what is left in it. Idempotent: unknown is success. */
	async stop(name: string): Promise<void> {
		try {
			await this.#job('StopUnit', 'ss', [name, 'replace']);
			// One that failed stays known, and keeps its name taken.
			await this.#call('ResetFailedUnit', 's', [name]);
		} catch (error) {
			if (!isDbusError(error, NO_SUCH_UNIT)) throw error;
		}
	}

	/** Of a unit that runs, until the next boot. */
	async setProperties(name: string, properties: readonly (readonly [key: string, signature: string, value: DbusValue])[]): Promise<void> {
		const values = properties.map(([key, signature, value]): DbusValue => [key, {signature, value}]);
		await this.#call('SetUnitProperties', 'sba(sv)', [name, true, values]);
	}

	close(): void {
		void this.#connection?.then(
			connection => connection.close(),
			() => undefined,
		);
		this.#connection = null;
	}

	async #job(member: string, signature: string, body: readonly DbusValue[]): Promise<void> {
		const [job] = await this.#call(member, signature, body);
		const result = await this.#resultOf(toText(job), toText(body[0]));
		if (result !== 'done') throw new FailedError(`systemd: ${member} of ${toText(body[0])}: the job ended with "${result}"`, {unit: toText(body[0]), result});
	}

	async #resultOf(job: string, unit: string): Promise<string> {
		const known = this.#results.get(job);
		this.#results.delete(job);
		if (known !== undefined) return known;
		const timer = new AbortController();
		const told = new Promise<string>(resolve => this.#waiting.set(job, resolve));
		const late = this.#clock.sleep(JOB_TIMEOUT_MS, timer.signal).then(() => null);
		const result = await Promise.race([told, late]);
		timer.abort();
		this.#waiting.delete(job);
		if (result === null) throw new TimedOutError(`systemd did not finish the job of ${unit} within ${JOB_TIMEOUT_MS} ms`, {unit});
		return result;
	}

	#onSignal({member, interface: from, body}: DbusMessage): void {
		if (from !== MANAGER || member !== 'JobRemoved') return;
		const [, job, , result] = body.map(toText);
		const waiting = this.#waiting.get(job ?? '');
		if (waiting !== undefined) waiting(result ?? '');
		else this.#keep(job ?? '', result ?? '');
	}

	/** Jobs of others are told too: of what nobody waits for only the last few are kept. */
	#keep(job: string, result: string): void {
		this.#results.set(job, result);
		const [oldest] = this.#results.keys();
		if (this.#results.size > 64 && oldest !== undefined) this.#results.delete(oldest);
	}

	async #call(member: string, signature: string, body: readonly DbusValue[]): Promise<readonly DbusValue[]> {
		const connection = await this.#open();
		return await this.#inTime(member, connection.call({destination: SYSTEMD, path: OBJECT, interface: MANAGER, member, signature, body}));
	}

	/** @throws {TimedOutError} a bus or a systemd that is stuck. */
	async #inTime<T>(what: string, answer: Promise<T>): Promise<T> {
		const timer = new AbortController();
		const late = this.#clock.sleep(CALL_TIMEOUT_MS, timer.signal).then(() => {
			if (!timer.signal.aborted) throw new TimedOutError(`systemd did not answer ${what} within ${CALL_TIMEOUT_MS} ms`, {member: what});
			return answer;
		});
		try {
			return await Promise.race([answer, late]);
		} finally {
			timer.abort();
		}
	}

	async #open(): Promise<DbusConnection> {
		const before = this.#connection;
		const known = await before?.catch(() => null);
		if (known?.isOpen === true) return known;
		// Another call that waited for the same one may have begun anew already.
		if (this.#connection === null || this.#connection === before) this.#connection = this.#connectInTime();
		return await this.#connection;
	}

	async #connectInTime(): Promise<DbusConnection> {
		const opening = this.#connect();
		try {
			return await this.#inTime('a connection to the bus', opening);
		} catch (error) {
			// Should it come late, nobody wants it any more.
			void opening.then(
				connection => connection.close(),
				() => undefined,
			);
			throw error;
		}
	}

	async #connect(): Promise<DbusConnection> {
		const connection = await DbusConnection.open(this.#socketPath, process.geteuid?.() ?? 0, signal => this.#onSignal(signal));
		const bus = 'org.freedesktop.DBus';
		const rule = `type='signal',sender='${SYSTEMD}',interface='${MANAGER}',member='JobRemoved'`;
		await connection.call({destination: bus, path: '/org/freedesktop/DBus', interface: bus, member: 'AddMatch', signature: 's', body: [rule]});
		await connection.call({destination: SYSTEMD, path: OBJECT, interface: MANAGER, member: 'Subscribe', signature: '', body: []});
		return connection;
	}
}
