import type {Attachment, AttachResult, Cni} from '../cni/cni.js';
import type {ImageRecord, ImageStore} from '../image/image.js';
import type {
	CreatedContainer,
	ExitRecord,
	ForeignContainer,
	Launcher,
	LaunchSpec,
	Monitor,
	MonitorContainer,
	MonitorRequest,
	OciLaunch,
	ResolvedUser,
} from '../native/native.js';

/** What the fakes did, in order: "verb object". A step whose name is in `failing` throws instead, once per entry. */
export class Trace {
	readonly calls: string[] = [];
	readonly failing = new Set<string>();
	/** Called before each step; a test can hold a step here. */
	hold: (call: string) => Promise<void> = async () => {};

	async step(call: string): Promise<void> {
		this.calls.push(call);
		await this.hold(call);
		if (this.failing.has(call.split(' ')[0] ?? '')) throw new Error(`${call} failed`);
	}
}

export class FakeMonitor implements Monitor {
	readonly pid = 100;
	readonly ociLaunches: OciLaunch[] = [];
	readonly containers = new Map<string, MonitorContainer>();
	readonly sandboxId: string;
	readonly #trace: Trace;
	/** Set by the test: where exits go. */
	onExit: (containerId: string, exit: ExitRecord) => void = () => {};

	constructor(sandboxId: string, trace: Trace) {
		this.sandboxId = sandboxId;
		this.#trace = trace;
	}

	async createContainer(spec: LaunchSpec): Promise<CreatedContainer> {
		await this.#trace.step('monitor.createContainer');
		this.containers.set(spec.containerId, {containerId: spec.containerId, pid: 200, phase: 'created', startedAtNs: 0n, exit: null});
		return {pid: 200, user: {uid: 7, gid: 8, supplementalGids: []}};
	}

	async createOciContainer(spec: LaunchSpec, oci: OciLaunch): Promise<CreatedContainer> {
		this.ociLaunches.push(oci);
		return await this.createContainer(spec);
	}

	async startContainer(containerId: string): Promise<{readonly startedAtNs: bigint}> {
		await this.#trace.step('monitor.startContainer');
		this.containers.set(containerId, {containerId, pid: 200, phase: 'running', startedAtNs: 55n, exit: null});
		return {startedAtNs: 55n};
	}

	async signal(containerId: string, signo: number, all: boolean): Promise<void> {
		await this.#trace.step(`monitor.signal ${signo} ${all ? 'all' : 'main'}`);
		if (signo === 9) this.exit(containerId, {exitCode: 137, finishedAtNs: 99n, oomKilled: false});
	}

	exit(containerId: string, exit: ExitRecord): void {
		const container = this.containers.get(containerId);
		if (container === undefined || container.exit !== null) return;
		this.containers.set(containerId, {...container, phase: 'exited', exit});
		this.onExit(containerId, exit);
	}

	async removeContainer(containerId: string): Promise<void> {
		await this.#trace.step('monitor.removeContainer');
		this.containers.delete(containerId);
	}

	async createForeign({containerId}: ForeignContainer): Promise<ResolvedUser> {
		await this.#trace.step('monitor.createForeign');
		this.containers.set(containerId, {containerId, pid: 0, phase: 'created', startedAtNs: 0n, exit: null});
		return {uid: 7, gid: 8, supplementalGids: []};
	}

	async foreignStarted(containerId: string, pid: number, startedAtNs: bigint): Promise<void> {
		await this.#trace.step('monitor.foreignStarted');
		this.containers.set(containerId, {containerId, pid, phase: 'running', startedAtNs, exit: null});
	}

	async foreignExited(containerId: string, exit: ExitRecord): Promise<void> {
		await this.#trace.step('monitor.foreignExited');
		this.exit(containerId, exit);
	}

	async reopenLog(): Promise<void> {
		await this.#trace.step('monitor.reopenLog');
	}

	async list(): Promise<readonly MonitorContainer[]> {
		return [...this.containers.values()];
	}

	async execSync(): Promise<never> {
		throw new Error('not faked');
	}

	async exec(): Promise<never> {
		throw new Error('not faked');
	}

	async attach(): Promise<never> {
		throw new Error('not faked');
	}

	async destroy(): Promise<void> {
		await this.#trace.step('monitor.destroy');
		this.containers.clear();
	}
}

export class FakeLauncher implements Launcher {
	readonly pid = 1;
	readonly protocolVersion = 1;
	readonly monitors = new Map<string, FakeMonitor>();
	readonly #trace: Trace;
	/** Handed to each monitor made. */
	onExit: (containerId: string, exit: ExitRecord) => void = () => {};

	constructor(trace: Trace) {
		this.#trace = trace;
	}

	add(sandboxId: string): FakeMonitor {
		const monitor = new FakeMonitor(sandboxId, this.#trace);
		monitor.onExit = (containerId, exit) => this.onExit(containerId, exit);
		this.monitors.set(sandboxId, monitor);
		return monitor;
	}

	async createMonitor(request: MonitorRequest): Promise<Monitor> {
		await this.#trace.step('launcher.createMonitor');
		return this.add(request.sandboxId);
	}

	async findMonitor(sandboxId: string): Promise<Monitor | null> {
		return this.monitors.get(sandboxId) ?? null;
	}

	async forgetPod(): Promise<void> {
		await this.#trace.step('launcher.forgetPod');
	}

	async listMonitors(): Promise<readonly string[]> {
		return [...this.monitors.keys()];
	}

	close(): void {}

	async shutdown(): Promise<void> {}
}

export class FakeCni implements Cni {
	readonly attached = new Set<string>();
	ready = true;
	readonly #trace: Trace;
	constructor(trace: Trace) {
		this.#trace = trace;
	}

	status() {
		return {ready: this.ready, reason: this.ready ? '' : 'NetworkPluginNotReady', message: this.ready ? '' : 'no network config in /conf'};
	}

	async attach(attachment: Attachment): Promise<AttachResult> {
		await this.#trace.step('cni.attach');
		this.attached.add(attachment.sandboxId);
		return {ips: ['10.1.2.3', 'fd00::3']};
	}

	async detach(attachment: Attachment): Promise<void> {
		await this.#trace.step('cni.detach');
		this.attached.delete(attachment.sandboxId);
	}

	async close(): Promise<void> {}
}

export const FAKE_IMAGE: ImageRecord = {
	id: 'sha256:1111111111111111111111111111111111111111111111111111111111111111',
	repoTags: ['docker.io/library/busybox:latest'],
	repoDigests: [],
	sizeBytes: 1000,
	config: {user: '', env: ['PATH=/bin'], entrypoint: [], cmd: ['sh'], workingDir: '', volumes: [], stopSignal: '', labels: {}},
	layers: [],
	pinned: false,
	configJson: '{}',
	manifest: null,
};

/** Only snapshots and find; the rest is image/'s own business. */
export class FakeImages {
	readonly snapshots = new Set<string>();
	readonly #trace: Trace;
	constructor(trace: Trace) {
		this.#trace = trace;
	}

	asStore(): ImageStore {
		return this as unknown as ImageStore;
	}

	find(reference: string): ImageRecord | null {
		return reference === 'busybox' || reference === FAKE_IMAGE.id ? FAKE_IMAGE : null;
	}

	async prepareSnapshot(key: string) {
		await this.#trace.step('images.prepareSnapshot');
		this.snapshots.add(key);
		return {lowerDirs: ['/l/1'], upperDir: '/u', workDir: '/w'};
	}

	async removeSnapshot(key: string): Promise<void> {
		await this.#trace.step('images.removeSnapshot');
		this.snapshots.delete(key);
	}

	snapshotKeys(): readonly string[] {
		return [...this.snapshots];
	}
}
