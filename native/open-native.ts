import {systemClock, type Clock} from '../base/clock.js';
import {openKernel} from './kernel.js';
import {LauncherClient} from './launcher-client.js';
import type {Native} from './native.js';

/** The real implementation of native.ts. Loads the addon. */
export function openNative(clock: Clock = systemClock): Native {
	return {
		openLauncher: async (options, events) => await LauncherClient.open(clock, options, events),
		kernel: openKernel(clock),
	};
}
