import {rm, rmdir} from 'node:fs/promises';
import {systemClock} from '../../base/clock.js';
import {patientMs} from '../../base/test-patience.js';
import {run, runOk} from './command.js';
import {listRunCgroups, listRunMounts, listRunProcesses} from './leaks.js';
import type {Places} from './places.js';

/** Takes away by force all of a run: processes by pid, mounts, bridge, rules, cgroups, directories but the logs'. The daemon must have ended. */
export async function wipe(places: Places): Promise<void> {
	await killProcesses(places);
	for (const point of await listRunMounts(places)) await runOk(['umount', '-l', point]);
	if ((await run(['ip', 'link', 'show', places.bridge])).exitCode === 0) await runOk(['ip', 'link', 'del', places.bridge]);
	// Deepest first.
	for (const cgroup of [...(await listRunCgroups(places))].sort().reverse()) await rmdir(cgroup);
	await rm(places.volatileDir, {recursive: true, force: true});
	await rm(places.rootDir, {recursive: true, force: true});
	await rm(places.scratchDir, {recursive: true, force: true});
}

async function killProcesses(places: Places): Promise<void> {
	const endMs = systemClock.monotonicMs() + patientMs(10_000);
	for (;;) {
		const pids = await listRunProcesses(places);
		if (pids.size === 0) return;
		if (systemClock.monotonicMs() > endMs) throw new Error(`rig: processes do not end: ${[...pids.keys()].join(', ')}`);
		for (const pid of pids.keys()) kill(pid);
		await systemClock.sleep(20);
	}
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		// Ended by itself meanwhile.
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}
