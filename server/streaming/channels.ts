import type {Readable, Writable} from 'node:stream';

/** Versions of the channel protocol that kubectl, crictl and the kubelet speak over SPDY, best first (k8s.io/cri-streaming, remotecommand). */
export const CHANNEL_VERSIONS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;
/** v5 is spoken over WebSocket only. */
export type ChannelVersion = 'v5.channel.k8s.io' | (typeof CHANNEL_VERSIONS)[number];

/** Streams of a session, as SPDY names them by the header streamType and WebSocket by number. */
export type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

export interface WantedStreams {
	readonly tty: boolean;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
}

/** The client's side of a session, whatever carries it. */
export interface Channels {
	readonly version: ChannelVersion;
	readonly streams: ReadonlyMap<StreamType, Readable & Writable>;
	/** Aborts when the client is gone. */
	readonly closed: AbortSignal;
}

/** What a session has besides its outcome. A terminal has no stderr of its own, and a size. */
export function wantedStreams({tty, stdin, stdout, stderr}: WantedStreams): ReadonlySet<StreamType> {
	const wanted = new Set<StreamType>(['error']);
	if (stdin) wanted.add('stdin');
	if (stdout) wanted.add('stdout');
	if (stderr && !tty) wanted.add('stderr');
	if (tty) wanted.add('resize');
	return wanted;
}

/** What a SPDY client will open: a terminal's size can be told since v3. */
export function expectedStreams(version: ChannelVersion, request: WantedStreams): ReadonlySet<StreamType> {
	const expected = new Set(wantedStreams(request));
	if (version === 'v2.channel.k8s.io' || version === 'channel.k8s.io') expected.delete('resize');
	return expected;
}

/** How a command ended. */
export type Outcome = {readonly exitCode: number} | {readonly failure: string};

/** What goes over the error stream: since v4 a metav1.Status, before that text, and nothing for success. */
export function outcomeText(version: ChannelVersion, outcome: Outcome): string {
	const status = toStatusObject(outcome);
	if (version === 'v5.channel.k8s.io' || version === 'v4.channel.k8s.io') return JSON.stringify(status);
	return status.status === 'Success' ? '' : status.message;
}

function toStatusObject(outcome: Outcome) {
	if ('failure' in outcome) {
		return {
			metadata: {},
			status: 'Failure',
			message: `Internal error occurred: ${outcome.failure}`,
			reason: 'InternalError',
			details: {causes: [{message: outcome.failure}]},
			code: 500,
		} as const;
	}
	const {exitCode} = outcome;
	if (exitCode === 0) return {metadata: {}, status: 'Success'} as const;
	return {
		metadata: {},
		status: 'Failure',
		message: `command terminated with non-zero exit code: ${exitCode}`,
		reason: 'NonZeroExitCode',
		// Clients parse the exit code out of this.
		details: {causes: [{reason: 'ExitCode', message: String(exitCode)}]},
	} as const;
}
