import {constants} from 'node:os';
import {InvalidArgumentError} from '../../base/errors.js';
import {Signal} from '../../proto/cri.js';

/** glibc's range (signal(7)); the kernel's first two are the threading library's. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * Number of the signal that asks the container to stop: the config's, else the image's STOPSIGNAL, else SIGTERM.
 *
 * @param imageSignal "", "SIGQUIT", "QUIT", "3", "SIGRTMIN+3" (image-spec config.md, StopSignal).
 * @throws {InvalidArgumentError} a name that no signal has.
 */
export function toStopSignal(asked: Signal, imageSignal: string): number {
	if (asked !== Signal.SIGNAL_RUNTIME_DEFAULT) {
		const name = Object.entries(Signal).find(([, value]) => value === asked)?.[0];
		return toNumber('stop_signal', (name ?? String(asked)).replace('SIGNAL_', '').replace('PLUS', '+').replace('MINUS', '-'));
	}
	return imageSignal === '' ? constants.signals.SIGTERM : toNumber("the image's StopSignal", imageSignal);
}

function toNumber(field: string, text: string): number {
	const number = toRealTime(text) ?? (/^\d+$/.test(text) ? Number(text) : toNamed(text));
	if (number === null || number < 1 || number > SIGRTMAX) throw new InvalidArgumentError(`${field} "${text}" is no signal`, {field});
	return number;
}

function toNamed(text: string): number | null {
	const name = text.toUpperCase().startsWith('SIG') ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
	// The older name of SIGCHLD, which Node does not know.
	if (name === 'SIGCLD') return constants.signals.SIGCHLD;
	return (constants.signals as Readonly<Record<string, number>>)[name] ?? null;
}

function toRealTime(text: string): number | null {
	const [, edge, sign, offset] = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/i.exec(text) ?? [];
	if (edge === undefined) return null;
	const number = (edge.toUpperCase() === 'MIN' ? SIGRTMIN : SIGRTMAX) + (sign === '-' ? -1 : 1) * Number(offset ?? 0);
	return number >= SIGRTMIN && number <= SIGRTMAX ? number : -1;
}
