import {createServer, type Server, type Socket} from 'node:net';
import {toText, type DbusValue, type Variant} from './dbus-codec.js';
import {encodeMessage, MESSAGE_TYPE, takeMessage, type DbusMessage} from './dbus-message.js';

export interface FakeUnit {
	readonly name: string;
	readonly properties: Readonly<Record<string, DbusValue>>;
}

/** For tests: a bus with systemd's manager on it, as far as SystemdUnits asks. */
export class FakeSystemd {
	readonly units = new Map<string, FakeUnit>();
	/** "member unit", in order. */
	readonly calls: string[] = [];
	/** Raw messages, as they came. */
	readonly received: Buffer[] = [];
	/** What a unit's job ends with. */
	result = 'done';
	/** The signal of a job before the reply that names it. */
	signalsFirst = false;
	/** D-Bus name of the error that calls of this member get. */
	readonly errors = new Map<string, string>();
	refusesAuthentication = false;
	/** Calls of these members get no answer. */
	readonly unanswered = new Set<string>();
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#serial = 0;

	private constructor(server: Server) {
		this.#server = server;
	}

	static async listen(path: string): Promise<FakeSystemd> {
		const server = createServer();
		const fake = new FakeSystemd(server);
		server.on('connection', socket => fake.#serve(socket));
		await new Promise<void>(resolve => server.listen(path, resolve));
		return fake;
	}

	/** Ends all connections, as a restart of the bus does; it goes on listening. */
	hangUp(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	async close(): Promise<void> {
		this.hangUp();
		await new Promise<void>(resolve => this.#server.close(() => resolve()));
	}

	#serve(socket: Socket): void {
		this.#sockets.add(socket);
		let bytes = Buffer.alloc(0);
		let authenticated = false;
		socket.on('error', () => undefined);
		socket.on('close', () => this.#sockets.delete(socket));
		socket.on('data', (chunk: Buffer) => {
			bytes = Buffer.concat([bytes, chunk]);
			while (!authenticated) {
				const end = bytes.indexOf('\r\n');
				if (end < 0) return;
				const line = bytes.toString('latin1', 0, end).replace('\0', '');
				bytes = bytes.subarray(end + 2);
				if (line === 'BEGIN') authenticated = true;
				else if (line.startsWith('AUTH EXTERNAL'))
					socket.write(this.refusesAuthentication ? 'REJECTED EXTERNAL\r\n' : 'OK 00112233445566778899aabbccddeeff\r\n');
				else if (line === 'DATA') socket.write('OK 00112233445566778899aabbccddeeff\r\n');
				else socket.write('ERROR\r\n');
			}
			for (let taken = takeMessage(bytes); taken !== null; taken = takeMessage(bytes)) {
				this.received.push(Buffer.from(bytes.subarray(0, taken.length)));
				bytes = bytes.subarray(taken.length);
				this.#answer(socket, taken.message);
			}
		});
	}

	#answer(socket: Socket, call: DbusMessage): void {
		const unit = toText(call.body[0]);
		this.calls.push(`${call.member} ${unit}`.trim());
		if (this.unanswered.has(call.member)) return;
		const error = this.errors.get(call.member) ?? (call.member === 'StopUnit' && !this.units.has(unit) ? 'org.freedesktop.systemd1.NoSuchUnit' : null);
		if (error !== null) {
			this.#send(socket, {type: MESSAGE_TYPE.ERROR, errorName: error, replySerial: call.serial, signature: 's', body: [`${call.member} is refused`]});
			return;
		}
		if (call.member === 'StartTransientUnit') this.#start(call);
		if (call.member === 'StopUnit') this.units.delete(unit);
		if (call.member === 'Hello') return this.#reply(socket, call, 's', [':1.7']);
		if (call.member !== 'StartTransientUnit' && call.member !== 'StopUnit') return this.#reply(socket, call, '', []);
		const job = `/org/freedesktop/systemd1/job/${++this.#serial}`;
		const tell = (): void =>
			this.#send(socket, {
				type: MESSAGE_TYPE.SIGNAL,
				path: '/org/freedesktop/systemd1',
				interface: 'org.freedesktop.systemd1.Manager',
				member: 'JobRemoved',
				signature: 'uoss',
				body: [this.#serial, job, unit, this.result],
			});
		if (this.signalsFirst) tell();
		this.#reply(socket, call, 'o', [job]);
		if (!this.signalsFirst) tell();
	}

	#start(call: DbusMessage): void {
		const [name, , properties] = call.body as [string, string, readonly (readonly [string, Variant])[]];
		this.units.set(name, {name, properties: Object.fromEntries(properties.map(([key, {value}]) => [key, value]))});
	}

	#reply(socket: Socket, call: DbusMessage, signature: string, body: readonly DbusValue[]): void {
		this.#send(socket, {type: MESSAGE_TYPE.RETURN, replySerial: call.serial, signature, body});
	}

	#send(socket: Socket, message: Partial<DbusMessage>): void {
		const empty = {path: '', interface: '', member: '', errorName: '', replySerial: 0, destination: '', signature: '', body: []};
		socket.write(encodeMessage({...empty, type: MESSAGE_TYPE.SIGNAL, serial: ++this.#serial, ...message}));
	}
}
