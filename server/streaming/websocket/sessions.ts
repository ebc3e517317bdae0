import type {WebSocket} from 'ws';
import {wantedStreams, type Channels, type StreamType, type WantedStreams} from '../channels.js';
import type {LivenessLimits} from '../liveness.js';
import type {ForwardClient} from '../port-forward.js';
import type {Direction, WebSocketChannel} from './channel.js';
import {WebSocketConnection} from './connection.js';
import type {ChannelProtocol} from './protocols.js';

/** Numbers of the channels of exec and attach; the first three are those of the descriptors (k8s.io/cri-streaming, remotecommand/websocket.go). */
const NUMBERS: Readonly<Record<StreamType, number>> = {stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4};
const DIRECTIONS: Readonly<Record<StreamType, Direction>> = {stdin: 'in', stdout: 'out', stderr: 'out', error: 'out', resize: 'in'};

export interface Carried {
	readonly protocol: ChannelProtocol;
	readonly limits: LivenessLimits;
}

/** The streams of an exec or attach session. All are there at once: a client opens nothing. */
export function openCommandChannels(
	socket: WebSocket,
	{protocol, limits}: Carried,
	request: WantedStreams,
): {readonly connection: WebSocketConnection; readonly channels: Channels} {
	const wanted = [...wantedStreams(request)];
	const connection = new WebSocketConnection(socket, protocol, new Map(wanted.map(type => [NUMBERS[type], DIRECTIONS[type]])), limits);
	const [ready = 'error'] = (['stdout', 'stderr'] as const).filter(type => wanted.includes(type));
	connection.announce(NUMBERS[ready]);
	const streams = new Map(wanted.map(type => [type, connection.channel(NUMBERS[type])]));
	return {connection, channels: {version: protocol.version, streams, closed: connection.closed}};
}

/** Two channels for each port that PortForward was asked for: data, then error. Each begins with the port, two bytes, little endian. */
export function openForwardChannels(
	socket: WebSocket,
	{protocol, limits}: Carried,
	ports: readonly number[],
): {readonly connection: WebSocketConnection; readonly client: ForwardClient} {
	const directions = new Map<number, Direction>(ports.flatMap((_, index) => [[2 * index, 'both'] as const, [2 * index + 1, 'out'] as const]));
	const connection = new WebSocketConnection(socket, protocol, directions, limits);
	const client: ForwardClient = {
		closed: connection.closed,
		onPair(take) {
			let open = ports.length;
			for (const [index, port] of ports.entries()) {
				const [data, error] = [connection.channel(2 * index), connection.channel(2 * index + 1)];
				for (const channel of [data, error]) channel.write(toPrefix(port));
				endTogether(data);
				// The error channel ends last; a client cannot connect a second time over the same one.
				error.once('finish', () => {
					if (--open === 0) connection.end();
				});
				take({port, data, error});
			}
		},
	};
	return {connection, client};
}

/** Nobody can be told over these channels that only one side of a connection is over: when the pod has ended its side, so has the client. */
function endTogether(data: WebSocketChannel): void {
	data.once('finish', () => data.finish());
}

function toPrefix(port: number): Buffer {
	const prefix = Buffer.alloc(2);
	prefix.writeUInt16LE(port);
	return prefix;
}
