import {createHash} from 'node:crypto';
import type {ContainerRecord} from './container/record.js';
import type {SandboxRecord} from './sandbox/record.js';

/** For tests: an id as real ones look, fixed per name. */
export function idOf(name: string): string {
	return createHash('sha256').update(name).digest('hex');
}

/** For tests: a ready pod sandbox on the host's network. */
export function sandboxRecord(name: string): SandboxRecord {
	return {
		kind: 'sandbox',
		id: idOf(name),
		metadata: {name, uid: `${name}-uid`, namespace: 'default', attempt: 0},
		labels: {app: name},
		annotations: {},
		runtimeHandler: '',
		createdAtNs: 1n,
		state: {phase: 'ready'},
		hostname: name,
		logDirectory: '',
		cgroupParent: `/berth-test/${name}`,
		namespaces: {network: 'node', pid: 'container', ipc: 'pod', targetId: ''},
		userNamespace: null,
		privileged: false,
		attachment: null,
		ips: [],
		files: {dir: `/nonexistent/sandboxes/${idOf(name)}`},
		config: {dns: null, sysctls: {}, overhead: null, resources: null},
		bootId: 'boot-1',
	};
}

/** For tests: a created container of the sandbox. */
export function containerRecord(name: string, sandbox: SandboxRecord): ContainerRecord {
	return {
		kind: 'container',
		id: idOf(`${sandbox.id}/${name}`),
		sandboxId: sandbox.id,
		metadata: {name, attempt: 0},
		labels: {container: name},
		annotations: {},
		image: {asked: 'busybox', userSpecified: '', id: 'sha256:00'},
		createdAtNs: 2n,
		state: {phase: 'created'},
		pid: 4242,
		logPath: '',
		mounts: [],
		resources: {
			cpuPeriodUs: 0n,
			cpuQuotaUs: 0n,
			cpuShares: 0n,
			memoryLimitBytes: 0n,
			memorySwapLimitBytes: 0n,
			oomScoreAdj: 0,
			cpusetCpus: '',
			cpusetMems: '',
			hugepageLimits: [],
			unified: {},
		},
		user: {uid: 0, gid: 0, supplementalGids: []},
		tty: false,
		stdin: false,
		stdinOnce: false,
		stopSignal: 15,
		privileged: false,
		cgroupPath: `${sandbox.cgroupParent}/${name}`,
		cgroupJoin: [],
		exec: {
			envBase64: [],
			cwd: '/',
			user: {uid: 0, gid: 0, supplementalGids: []},
			capabilities: {bounding: 0n, effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n},
			noNewPrivileges: false,
			seccompKey: null,
			oomScoreAdj: null,
		},
	};
}
