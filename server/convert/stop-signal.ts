import {constants} from 'node:os';
import {Signal} from '../../proto/cri.js';

/** signal(7): glibc's real-time signals; the CRI counts up from SIGRTMIN to +15 and down from SIGRTMAX to -14. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

const BY_NUMBER = byNumber();

/** Signal of the CRI for a signal number of Linux; RUNTIME_DEFAULT for one that it has no name for. */
export function toSignal(number: number): Signal {
	return BY_NUMBER.get(number) ?? Signal.SIGNAL_RUNTIME_DEFAULT;
}

function byNumber(): ReadonlyMap<number, Signal> {
	const signals = new Map<number, Signal>();
	for (const [name, number] of Object.entries(constants.signals)) {
		const signal = (Signal as Readonly<Record<string, Signal>>)[`SIGNAL_${name}`];
		// Of two names of one number (SIGABRT, SIGIOT) the first, which is the common one, stays.
		if (signal !== undefined && !signals.has(number)) signals.set(number, signal);
	}
	for (let number = SIGRTMIN; number <= SIGRTMAX; number++) {
		const signal = (Signal as Readonly<Record<string, Signal>>)[realTimeName(number)];
		if (signal !== undefined) signals.set(number, signal);
	}
	return signals;
}

function realTimeName(number: number): string {
	if (number === SIGRTMIN) return 'SIGNAL_SIGRTMIN';
	if (number === SIGRTMAX) return 'SIGNAL_SIGRTMAX';
	return number - SIGRTMIN <= 15 ? `SIGNAL_SIGRTMINPLUS${number - SIGRTMIN}` : `SIGNAL_SIGRTMAXMINUS${SIGRTMAX - number}`;
}
