import type {LaunchSpec} from '../../../native/native.js';
import {DEFAULT_DEVICE_RULES} from '../../cgroup/device-rules.js';
import {NO_RESOURCES} from '../../cgroup/resources.js';
import type {LaunchFacts} from '../handler.js';

/** For tests: a container that asks for little. */
export function launchSpec(changes: Partial<LaunchSpec> = {}, process: Partial<LaunchSpec['process']> = {}): LaunchSpec {
	return {
		containerId: 'c1',
		namespaces: {pid: 'new', cgroup: 'new'},
		cgroup: {dirs: ['/sys/fs/cgroup/pod/c1'], writes: [], join: ['/sys/fs/cgroup/pod/c1'], programs: []},
		rootfs: {lowerDirs: ['/l'], upperDir: '/u', workDir: '/w', readonly: false, propagation: 'private'},
		mounts: [],
		devices: [],
		symlinks: [],
		maskedPaths: [],
		readonlyPaths: [],
		process: {
			args: ['sh'],
			env: [],
			cwd: '/',
			user: {spec: 'app', uid: null, gid: null, supplementalGids: [], groupsPolicy: 'merge'},
			capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
			noNewPrivileges: false,
			rlimits: [],
			oomScoreAdj: null,
			seccomp: null,
			tty: false,
			apparmorProfile: null,
			selinuxLabel: null,
			...process,
		},
		log: null,
		stdin: 'null',
		volumeDirs: [],
		timeOffsets: null,
		mountLabel: null,
		...changes,
	};
}

/** For tests: with the device rules of any container, unconfined. */
export function launchFacts(changes: Partial<LaunchFacts> = {}): LaunchFacts {
	return {cgroupPath: '/pod/c1', resources: NO_RESOURCES, deviceRules: DEFAULT_DEVICE_RULES, seccomp: null, ...changes};
}
