import type {Vm} from './boot.js';

/** A VM with its job. The job says "N passed, N failed, N skipped" at its end. */
export interface Phase extends Vm {
	readonly name: string;
	readonly what: string;
}
/** A phase with a fault in it. */
export interface SelfCheck extends Phase {
	/** What must be said about it. */
	readonly expects: RegExp;
}

const MINUTE_MS = 60_000;
/** How much slower than usual programs start there, with room to spare (see base/test-patience.ts). */
const PATIENCE = {uml: 10, qemu: 20} as const;
const RUN_TESTS = 'node build/critest/run-tests.js';

/** A job that runs tests. */
export function toTestJob(kind: Vm['kind'], command: string): string {
	return `export BERTH_TEST_PATIENCE=${PATIENCE[kind]}\n${command}`;
}

const POD_LIFECYCLE = 'build/critest/pod-lifecycle.root.test.js';
/** The shell of the VM spells it out. */
const CGROUP_FILES = 'build/runtime/cgroup/*.root.test.js build/native/cgroup.root.test.js';
/** What tells within minutes whether pods and cgroups work with v2 alone. */
export const SHORT_JOB = toTestJob('uml', `${RUN_TESTS} ${POD_LIFECYCLE} ${CGROUP_FILES}`);
/** What differs by the kernel's controllers, its age and its CPUs. */
const KERNEL_FILES = [
	POD_LIFECYCLE,
	CGROUP_FILES,
	'build/critest/resources/*.root.test.js',
	'build/critest/stats/*.root.test.js',
	'build/native/container.root.test.js',
	'build/native/security-module.root.test.js',
	'build/native/launcher-client.root.test.js',
	'build/native/user-namespace.root.test.js',
	'build/native/user-namespace-process.root.test.js',
	'build/critest/user-namespace.root.test.js',
].join(' ');

/**
 * Left out of the whole daemon's files: what costs minutes there and meets no cgroup that the others do not meet.
 * - conformance: the phase critest runs the suite; under runc and crun it is twice as long again, and critest/handlers has their cgroups
 * - images, and of bad-input archives, images, registry: registries, layers and their files; the cgroup's version is nothing to them
 * - of crash the power cuts: a disk, loop devices, and pulls
 * - crictl: a transcript of commands that the other files give one by one
 * - resources/systemd: the phase systemd runs it where systemd is
 * - vm: there is no VM in a VM
 */
const LEFT_OUT = [
	'conformance/*',
	'images/*',
	'bad-input/archives',
	'bad-input/images',
	'bad-input/registry',
	'crash/power-cut',
	'crash/power-cut/*',
	'crictl/*',
	'resources/systemd',
	'vm/*',
];
/** For ava, not for the shell. All of them, so that a new file is among them. */
const DAEMON_FILES = ["'build/critest/**/*.root.test.js'", ...LEFT_OUT.map(name => `'!build/critest/${name}.root.test.js'`)].join(' ');
/** The tests of fields natively only: runc and crun take as long again each, and critest/handlers meets their cgroups. */
const DAEMON_JOB = `export BERTH_FIELD_HANDLERS=native\n${RUN_TESTS} ${DAEMON_FILES}`;

/** The product is broken inside of the VM only: its files there are an overlay's. */
const BREAK_LAUNCHER = "printf '#!/bin/sh\\nexit 1\\n' >build/native/berth-launcher";

export const SELF_CHECKS: readonly SelfCheck[] = [
	{
		name: 'broken-product',
		kind: 'uml',
		what: 'the launcher is broken: the tests must fail, and the VM say so',
		job: toTestJob('uml', `${BREAK_LAUNCHER}\n${RUN_TESTS} ${POD_LIFECYCLE}`),
		deadlineMs: 5 * MINUTE_MS,
		expects: /^exit code 1$/,
	},
	{
		name: 'panic',
		kind: 'uml',
		what: 'the kernel dies: no exit code must not pass for success',
		job: "echo '1 passed, 0 failed, 0 skipped'\necho c >/proc/sysrq-trigger\nsleep 100",
		deadlineMs: MINUTE_MS,
		expects: /^the VM ended before the job did/,
	},
	{
		name: 'hang',
		kind: 'uml',
		what: 'the job does not end: the VM must be killed at its deadline',
		job: "echo '1 passed, 0 failed, 0 skipped'\nsleep 1000",
		deadlineMs: MINUTE_MS / 3,
		expects: /^did not end within 20 s/,
	},
];

export const PHASES: readonly Phase[] = [
	// The address space of user-mode Linux is too small for AddressSanitizer.
	{name: 'native', kind: 'qemu', what: 'C and C++ tests', job: toTestJob('qemu', `${RUN_TESTS} native`), deadlineMs: 60 * MINUTE_MS},
	{
		name: 'root',
		kind: 'uml',
		what: 'rooms, with root and kernel; launcher and monitors',
		job: toTestJob('uml', `${RUN_TESTS} root launcher`),
		deadlineMs: 40 * MINUTE_MS,
	},
	{name: 'daemon', kind: 'uml', what: 'the whole daemon', job: toTestJob('uml', DAEMON_JOB), deadlineMs: 90 * MINUTE_MS},
	{
		name: 'critest',
		kind: 'uml',
		what: 'the CRI conformance suite',
		job: toTestJob('uml', 'node build/critest/conformance/run.js --transport=spdy'),
		deadlineMs: 60 * MINUTE_MS,
	},
	{
		name: 'qemu',
		kind: 'qemu',
		what: 'cpuset, PSI, two CPUs and a newer kernel',
		job: toTestJob('qemu', `${RUN_TESTS} ${KERNEL_FILES}`),
		deadlineMs: 60 * MINUTE_MS,
	},
	{
		name: 'systemd',
		kind: 'uml',
		systemd: true,
		what: 'systemd is process 1',
		job: toTestJob('uml', `${RUN_TESTS} ${POD_LIFECYCLE} ${CGROUP_FILES} build/critest/resources/systemd.root.test.js`),
		deadlineMs: 20 * MINUTE_MS,
	},
];
