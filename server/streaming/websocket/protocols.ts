import type {ChannelVersion} from '../channels.js';

/**
 * A WebSocket subprotocol. Each message begins with the number of its channel: a byte, or with base64 a digit, in which case the rest is base64 too
 * (k8s.io/streaming, wsstream).
 */
export interface ChannelProtocol {
	/** As in Sec-WebSocket-Protocol; '' = the client names none. */
	readonly subprotocol: string;
	readonly codec: 'binary' | 'base64';
	/** The client ends one channel with the message [255, number]. */
	readonly halfClose: boolean;
	/** What the outcome looks like. */
	readonly version: ChannelVersion;
}

/** Of exec and attach, best first (k8s.io/cri-streaming, remotecommand/websocket.go; v5: client-go, remotecommand/websocket.go). */
export const COMMAND_PROTOCOLS: readonly ChannelProtocol[] = [
	{subprotocol: 'v5.channel.k8s.io', codec: 'binary', halfClose: true, version: 'v5.channel.k8s.io'},
	{subprotocol: 'v4.channel.k8s.io', codec: 'binary', halfClose: false, version: 'v4.channel.k8s.io'},
	{subprotocol: 'v4.base64.channel.k8s.io', codec: 'base64', halfClose: false, version: 'v4.channel.k8s.io'},
	{subprotocol: 'channel.k8s.io', codec: 'binary', halfClose: false, version: 'channel.k8s.io'},
	{subprotocol: 'base64.channel.k8s.io', codec: 'base64', halfClose: false, version: 'channel.k8s.io'},
	{subprotocol: '', codec: 'binary', halfClose: false, version: 'channel.k8s.io'},
];

/** SPDY's bytes in WebSocket messages, as `kubectl port-forward` speaks it (client-go, portforward/tunneling_dialer.go). */
export const TUNNEL_SUBPROTOCOL = 'SPDY/3.1+portforward.k8s.io';

/** Of port-forward besides the tunnel, best first: two channels per port of the request (k8s.io/cri-streaming, portforward/websocket.go). */
export const FORWARD_PROTOCOLS: readonly ChannelProtocol[] = [
	{subprotocol: 'v4.channel.k8s.io', codec: 'binary', halfClose: false, version: 'v4.channel.k8s.io'},
	{subprotocol: 'v4.base64.channel.k8s.io', codec: 'base64', halfClose: false, version: 'v4.channel.k8s.io'},
	{subprotocol: '', codec: 'binary', halfClose: false, version: 'v4.channel.k8s.io'},
];
