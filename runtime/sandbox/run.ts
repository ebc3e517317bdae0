import {AlreadyExistsError, CancelledError, UnavailableError, UnimplementedError, throwIfCancelled} from '../../base/errors.js';
import {Rollback} from '../../base/rollback.js';
import type {PodSandboxConfig__Output} from '../../proto/cri.js';
import type {MonitorRequest} from '../../native/native.js';
import type {Attachment} from '../../cni/cni.js';
import type {PodPlace} from '../cgroup/driver.js';
import {toPodCgroupName} from '../cgroup/names.js';
import type {PodRuntime, RuntimeHandler} from '../handler/handler.js';
import type {Runtime} from '../runtime.js';
import {explain} from '../spec/explain.js';
import {hostFacts} from '../spec/host.js';
import {toMonitorRequest, validateSandboxConfig} from '../spec/sandbox-config.js';
import {toUserNamespace} from '../spec/user-namespace.js';
import {sandboxName} from '../state/store.js';
import {toSandboxRecord} from './create-record.js';
import {writeEarlyFiles, writeHosts} from './files.js';
import type {SandboxRecord} from './record.js';
import {addUndoSteps, netnsPath} from './undo.js';

/**
 * Makes a pod sandbox: monitor and namespaces, cgroup, network, files. A second call of the same metadata joins the one in flight,
 * or gets the id of the ready sandbox that an earlier one made.
 *
 * @returns the sandbox's id.
 * @throws {InvalidArgumentError} config; {AlreadyExistsError} a stopped sandbox has the name; {UnavailableError} no pod network;
 *   whatever a step throws, after the steps before it are undone.
 */
export async function runSandbox(runtime: Runtime, config: PodSandboxConfig__Output, runtimeHandler: string, signal: AbortSignal): Promise<string> {
	validateSandboxConfig(config);
	const handler = runtime.handlers.choose(runtimeHandler);
	assertUserNamespaces(runtime, handler, config);
	const wanted = toSandboxRecord(runtime, config, runtimeHandler);
	const name = sandboxName(wanted.metadata);
	return await runtime.creations.run(`sandbox ${name}`, signal, async joined => {
		const existing = runtime.state.sandboxByName(name);
		if (existing?.state.phase === 'ready') return existing.id;
		if (existing !== null)
			throw new AlreadyExistsError(`pod sandbox "${existing.id}" (${existing.state.phase}) has this metadata already: remove it, or raise attempt`, {
				id: existing.id,
			});
		await create(runtime, {intent: wanted, handler}, joined);
		return wanted.id;
	});
}

interface Plan {
	readonly intent: SandboxRecord;
	readonly handler: RuntimeHandler;
}

async function create(runtime: Runtime, plan: Plan, signal: AbortSignal): Promise<void> {
	const {intent} = plan;
	const rollback = new Rollback();
	try {
		assertNetworkReady(runtime, intent);
		addUndoSteps(rollback, runtime, intent);
		await runtime.state.put(intent);
		const [ips] = await bothSettled(makeNetworkedMonitor(runtime, plan, signal), writeEarlyFiles(intent));
		throwIfCancelled(signal, 'RunPodSandbox');
		const ready: SandboxRecord = {...intent, ips, state: {phase: 'ready'}};
		await writeHosts(ready);
		await runtime.locks.run(intent.id, () => runtime.state.put(ready));
		rollback.commit();
	} catch (error) {
		await undo(runtime, intent, rollback);
		throw signal.aborted ? new CancelledError('RunPodSandbox cancelled by the client', {}, {cause: error}) : error;
	}
	for (const kind of ['created', 'started'] as const) runtime.events.publish({containerId: intent.id, sandboxId: intent.id, kind});
}

async function createPod(handler: RuntimeHandler, intent: SandboxRecord, request: MonitorRequest): Promise<PodRuntime> {
	try {
		return await handler.createPod(intent, request);
	} catch (error) {
		throw explain(error);
	}
}

/** @returns the pod's addresses; none on the host's network. */
async function makeNetworkedMonitor(runtime: Runtime, {intent, handler}: Plan, signal: AbortSignal): Promise<readonly string[]> {
	const {selinux} = await hostFacts();
	const place = {hierarchies: runtime.cgroups, shmSizeBytes: runtime.options.shmSizeBytes, selinux, naming: runtime.options};
	const monitor = await createPod(handler, intent, toMonitorRequest(intent, place));
	runtime.monitors.add(monitor);
	await runtime.cgroupDriver.openPod(toPlace(runtime, intent, monitor.pid));
	throwIfCancelled(signal, 'RunPodSandbox');
	const ips = intent.attachment === null ? [] : await attachNetwork(runtime, intent.attachment, {pid: monitor.pid, signal});
	throwIfCancelled(signal, 'RunPodSandbox');
	await monitor.whenNetworked?.();
	return ips;
}

/** Where the keeper goes, should its cgroup be the driver's to make. */
function toPlace({options}: Runtime, intent: SandboxRecord, pid: number): PodPlace {
	return {sandboxId: intent.id, podPath: intent.cgroupParent, pid, leaf: toPodCgroupName(options, intent) ?? 'monitor'};
}

async function attachNetwork(runtime: Runtime, attachment: Attachment, pod: {readonly pid: number; readonly signal: AbortSignal}): Promise<readonly string[]> {
	await runtime.kernel.pinNetworkNamespace(pod.pid, netnsPath(runtime, attachment.sandboxId));
	throwIfCancelled(pod.signal, 'RunPodSandbox');
	return (await runtime.cni.attach(attachment, pod.signal)).ips;
}

/** What cannot be undone now stays as a sandbox that is stopping, so that StopPodSandbox and recovery go on with it. */
async function undo(runtime: Runtime, intent: SandboxRecord, rollback: Rollback): Promise<void> {
	const failed = await rollback.undo();
	if (failed.length === 0) return;
	runtime.log.error(
		{sandboxId: intent.id, errors: failed.map(error => error.message)},
		'failed RunPodSandbox not wholly undone; the sandbox is kept as not ready',
	);
	await runtime.state.put({...intent, state: {phase: 'stopping'}});
}

/** Both, even when one fails: an undo must not run while a step still makes something. */
async function bothSettled<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
	await Promise.allSettled([a, b]);
	return await Promise.all([a, b]);
}

function assertNetworkReady(runtime: Runtime, intent: SandboxRecord): void {
	if (intent.attachment === null) return;
	const {ready, message} = runtime.cni.status();
	if (!ready) throw new UnavailableError(`pod network is not ready: ${message}`);
}

/** What Status says of it, said again to who asks all the same. */
function assertUserNamespaces({userNamespaces}: Runtime, handler: RuntimeHandler, config: PodSandboxConfig__Output): void {
	if (handler.features.userNamespaces || toUserNamespace(config.linux?.security_context?.namespace_options ?? null) === null) return;
	const field = 'namespace_options.userns_options';
	if (userNamespaces.supported) throw new UnimplementedError(`${field}: runtime handler "${handler.name}" has no user namespaces for pods`, {field});
	throw new UnimplementedError(`${field}: this node has no user namespaces for pods: ${userNamespaces.reason}`, {field});
}
