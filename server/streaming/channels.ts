/** Versions of the channel protocol that kubectl, crictl and the kubelet speak, best first (k8s.io/cri-streaming, remotecommand). */
export const CHANNEL_VERSIONS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;
export type ChannelVersion = (typeof CHANNEL_VERSIONS)[number];

/** Streams of a session, as named by the header streamType. */
export type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

export interface WantedStreams {
	readonly tty: boolean;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
}

/** What the client will open. A terminal has no stderr of its own; its size can be told since v3. */
export function expectedStreams(version: ChannelVersion, {tty, stdin, stdout, stderr}: WantedStreams): ReadonlySet<StreamType> {
	const expected = new Set<StreamType>(['error']);
	if (stdin) expected.add('stdin');
	if (stdout) expected.add('stdout');
	if (stderr && !tty) expected.add('stderr');
	if (tty && (version === 'v4.channel.k8s.io' || version === 'v3.channel.k8s.io')) expected.add('resize');
	return expected;
}

/** How a command ended. */
export type Outcome = {readonly exitCode: number} | {readonly failure: string};

/** What goes over the error stream: since v4 a metav1.Status, before that text, and nothing for success. */
export function outcomeText(version: ChannelVersion, outcome: Outcome): string {
	const status = toStatusObject(outcome);
	if (version === 'v4.channel.k8s.io') return JSON.stringify(status);
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
