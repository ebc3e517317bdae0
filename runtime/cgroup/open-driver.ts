import {access, readFile} from 'node:fs/promises';
import type {Clock} from '../../base/clock.js';
import {InvalidArgumentError} from '../../base/errors.js';
import type {Kernel} from '../../native/native.js';
import {cgroupfsDriver, type CgroupDriver} from './driver.js';
import type {CgroupHierarchies} from './hierarchies.js';
import {systemdDriver} from './systemd/driver.js';
import {SystemdUnits} from './systemd/units.js';

export interface DriverParts {
	readonly name: CgroupDriver['name'];
	readonly cgroupRoot: string;
	/** Of the system's bus. */
	readonly busSocketPath: string;
	readonly kernel: Kernel;
	readonly cgroups: CgroupHierarchies;
	readonly clock: Clock;
}

/** sd_booted(3) looks here. */
const SYSTEMD_RUNS = '/run/systemd/system';

/** @throws {InvalidArgumentError} the driver that the config names cannot work on this machine, and why. {UnavailableError} no bus. */
export async function openDriver({name, cgroupRoot, busSocketPath, kernel, cgroups, clock}: DriverParts): Promise<CgroupDriver> {
	if (name === 'cgroupfs') return cgroupfsDriver(cgroupRoot);
	const units = new SystemdUnits(busSocketPath, clock);
	const driver = systemdDriver({units, kernel, cgroups, cgroupRoot});
	const first = (await readFile('/proc/1/comm', 'utf8')).trim();
	const runs = await access(SYSTEMD_RUNS).then(
		() => true,
		() => false,
	);
	if (first !== 'systemd' || !runs)
		throw new InvalidArgumentError(`runtime.cgroup_driver "systemd" needs systemd as process 1, which is "${first}" on this machine: use "cgroupfs"`, {
			key: 'runtime.cgroup_driver',
		});
	await units.connect();
	return driver;
}
