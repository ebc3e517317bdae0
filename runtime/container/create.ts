import {randomBytes} from 'node:crypto';
import {AlreadyExistsError, CancelledError, NotFoundError, throwIfCancelled} from '../../base/errors.js';
import {Rollback} from '../../base/rollback.js';
import type {ImageRecord} from '../../image/image.js';
import type {CreatedContainer} from '../../native/native.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';
import type {Runtime} from '../runtime.js';
import {assertReady, type SandboxRecord} from '../sandbox/record.js';
import {planLaunch, validateContainerConfig, type LaunchPlan} from '../spec/launch-plan.js';
import {explain} from '../spec/explain.js';
import {containerName} from '../state/store.js';
import {assertFound} from './find.js';
import type {ContainerRecord} from './record.js';
import {prepareHostPaths} from './host-paths.js';
import {prepareSnapshots, type Snapshots} from './snapshots.js';
import {addUndoSteps} from './undo.js';

/**
 * Makes a container: writable layer, cgroup, and a process that is all set up and waits to exec. A second call of the same
 * metadata joins the one in flight, or gets the id of the container that an earlier one made and nobody started yet.
 *
 * @returns the container's id.
 * @throws {NotFoundError} pod sandbox or image; {WrongStateError} the sandbox is not ready; {InvalidArgumentError | UnimplementedError} naming the field;
 *   {AlreadyExistsError}; whatever a step throws, after the steps before it are undone.
 */
export async function createContainer(runtime: Runtime, sandboxIdOrPrefix: string, config: ContainerConfig__Output, signal: AbortSignal): Promise<string> {
	const {id: sandboxId} = runtime.state.findSandbox(sandboxIdOrPrefix);
	const metadata = {name: config.metadata?.name ?? '', attempt: config.metadata?.attempt ?? 0};
	const name = containerName(sandboxId, metadata);
	return await runtime.creations.run(`container ${name}`, signal, async joined =>
		// Under the sandbox's lock: StopPodSandbox must see the container whole or not at all.
		runtime.locks.run(sandboxId, async () => {
			const sandbox = assertFound(runtime.state.sandbox(sandboxId), sandboxId);
			assertReady(sandbox);
			validateContainerConfig(config, sandbox);
			const existing = runtime.state.containerByName(name);
			if (existing?.state.phase === 'created') return existing.id;
			if (existing !== null)
				throw new AlreadyExistsError(`container "${existing.id}" (${existing.state.phase}) has this metadata already: remove it, or raise attempt`, {
					id: existing.id,
				});
			return await create(runtime, sandbox, config, joined);
		}),
	);
}

async function create(runtime: Runtime, sandbox: SandboxRecord, config: ContainerConfig__Output, signal: AbortSignal): Promise<string> {
	const image = findImage(runtime, config);
	const id = randomBytes(32).toString('hex');
	const plan = await planLaunch(runtime, {id, sandbox, config, image});
	const intent = plan.record;
	const rollback = new Rollback();
	try {
		addUndoSteps(rollback, runtime, intent);
		const volumes = plan.volumes;
		// All, even when one fails: an undo must not run while a step still makes something. Beside the journal: a snapshot that it does not know goes at the next start.
		const steps = [
			runtime.state.put(intent),
			prepareSnapshots(runtime, sandbox, {id, imageId: image.id, volumes}),
			explained(prepareHostPaths(runtime, plan)),
		] as const;
		await Promise.allSettled(steps);
		const [, snapshots] = await Promise.all(steps);
		throwIfCancelled(signal, 'CreateContainer');
		// Under the container's lock: should the init be killed while it is parked, its exit waits here and then finds the record.
		await runtime.locks.run(id, async () => {
			const {pid, user} = await make(runtime, plan, snapshots);
			throwIfCancelled(signal, 'CreateContainer');
			await runtime.state.put({...intent, pid, user, exec: {...intent.exec, user}, state: {phase: 'created'}});
			// Still under the lock, so that no later fact is told first.
			runtime.events.publish({containerId: id, sandboxId: sandbox.id, kind: 'created'});
		});
		rollback.commit();
	} catch (error) {
		await undo(runtime, intent, rollback);
		throw signal.aborted ? new CancelledError('CreateContainer cancelled by the client', {}, {cause: error}) : error;
	}
	return id;
}

async function make(runtime: Runtime, plan: LaunchPlan, snapshots: Snapshots): Promise<CreatedContainer> {
	return await explained(runtime.monitors.get(plan.record.sandboxId).createContainer(plan.toSpec(snapshots), plan.facts));
}

/** What only the kernel knows, in words of the request. */
async function explained<T>(step: Promise<T>): Promise<T> {
	try {
		return await step;
	} catch (error) {
		throw explain(error);
	}
}

function findImage(runtime: Runtime, config: ContainerConfig__Output): ImageRecord {
	const asked = config.image?.image ?? '';
	const image = runtime.images.find(asked);
	if (image === null) throw new NotFoundError('image', asked);
	return image;
}

/** What cannot be undone now is listed as exited, so that RemoveContainer goes on with it. */
async function undo(runtime: Runtime, intent: ContainerRecord, rollback: Rollback): Promise<void> {
	const failed = await rollback.undo();
	if (failed.length === 0) return;
	runtime.log.error(
		{containerId: intent.id, errors: failed.map(error => error.message)},
		'failed CreateContainer not wholly undone; the container is kept as exited',
	);
	const finishedAtNs = runtime.clock.nowNs();
	await runtime.state.put({
		...intent,
		state: {phase: 'exited', startedAtNs: 0n, finishedAtNs, exitCode: 128, reason: 'CreateError', message: failed[0]?.message ?? ''},
	});
}
