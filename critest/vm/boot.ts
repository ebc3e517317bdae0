import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {systemClock} from '../../base/clock.js';
import {PROJECT_DIR} from '../fixtures/images.js';

/** uml: user-mode Linux, one CPU, no cpuset and no PSI. qemu: a distribution's kernel, emulated, two CPUs, all controllers. */
export type VmKind = 'uml' | 'qemu';

export interface Vm {
	readonly kind: VmKind;
	/** A shell script, run as root in the project's directory. What it writes is gone with the VM. */
	readonly job: string;
	/** systemd is process 1 and the job a unit of it; otherwise a script. */
	readonly systemd?: boolean;
	/** The VM is killed then. */
	readonly deadlineMs: number;
	/** Of what the job writes. */
	readonly onLine?: (line: string) => void;
	/** When the job begins. `pid`: of the process that the VM is below of. */
	readonly onStart?: (pid: number) => void;
}
export interface VmEnd {
	/** The job's; null: the VM ended, by itself or at the deadline, before the job did. */
	readonly exitCode: number | null;
	readonly timedOut: boolean;
	/** The console's last lines, the kernel's among them: what to show when there is no exit code. */
	readonly tail: readonly string[];
}

const MEMORY_MIB = 4096;
const DISK_MIB = 8192;
const TAIL_LINES = 40;
const HOST_SH = join(PROJECT_DIR, 'critest/vm/host.sh');

/**
 * Boots a VM with pure cgroup v2, whose root file system is this machine's (read-only), and runs a job in it. Nothing of it is left on this machine, also when
 * this process is killed meanwhile. @throws when it cannot be started.
 */
export async function bootVm(vm: Vm): Promise<VmEnd> {
	const token = randomBytes(8).toString('hex');
	const settings = [`VM_TOKEN=${token}`, `VM_PROJECT='${PROJECT_DIR}'`, `VM_SYSTEMD=${vm.systemd === true ? 1 : 0}`];
	const env = {
		...process.env,
		VM_JOB: vm.job,
		VM_SETTINGS: settings.join('\n'),
		VM_MEMORY_MIB: String(MEMORY_MIB),
		VM_DISK_MIB: String(DISK_MIB),
	};
	// It must not outlive this process, and leave the machine to others. A session of its own: user-mode Linux ends its whole process group when it panics.
	const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nice', '-n', '10', HOST_SH, vm.kind], {env, stdio: ['ignore', 'pipe', 'pipe'], detached: true});
	const ended = new Promise<void>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', () => resolve());
	});
	const output = new Console(token, vm, child.pid ?? 0);
	createInterface({input: child.stdout}).on('line', line => output.take(line));
	createInterface({input: child.stderr}).on('line', line => output.keep(line));
	const over = new AbortController();
	const timedOut = await Promise.race([ended.then(() => false), systemClock.sleep(vm.deadlineMs, over.signal).then(() => !over.signal.aborted)]).finally(() =>
		over.abort(),
	);
	if (timedOut) {
		child.kill('SIGKILL');
		await ended;
	}
	return {exitCode: output.exitCode, timedOut, tail: output.tail};
}

/** Tells the job's lines from the firmware's and the kernel's. */
class Console {
	exitCode: number | null = null;
	readonly tail: string[] = [];
	#running = false;

	constructor(
		readonly token: string,
		readonly vm: Vm,
		readonly pid: number,
	) {}

	keep(line: string): void {
		this.tail.push(line);
		if (this.tail.length > TAIL_LINES) this.tail.shift();
	}

	take(raw: string): void {
		const line = raw.replaceAll('\r', '');
		this.keep(line);
		const said = line.indexOf(`berth-vm ${this.token} `);
		if (said < 0) {
			if (this.#running) this.vm.onLine?.(line);
			return;
		}
		const [, , word, code] = line.slice(said).split(' ');
		this.#running = word === 'start';
		if (word === 'exit') this.exitCode = Number(code);
		else this.vm.onStart?.(this.pid);
	}
}
