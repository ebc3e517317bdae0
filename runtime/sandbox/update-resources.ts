import {readActualResources} from '../cgroup/actual.js';
import {sumResources} from '../cgroup/merge.js';
import {assertResources, NO_RESOURCES} from '../cgroup/resources.js';
import {updateCgroup} from '../cgroup/update.js';
import {assertFound} from '../container/find.js';
import type {Runtime} from '../runtime.js';
import {assertReady, type ResourceFacts, type SandboxRecord} from './record.js';

/**
 * What a pod's containers and the pod itself need from now on, written to the pod's own cgroup: all of it, or nothing and an error. null leaves what it was.
 *
 * On a cgroup that the kubelet named (and limits itself) a limit is raised, but neither introduced nor lowered: docs/decisions/0024-pod-resources.md.
 *
 * @throws {InvalidArgumentError} naming the field. {NotFoundError | WrongStateError} no such pod sandbox, or it is not ready.
 */
export async function updateSandboxResources(
	runtime: Runtime,
	idOrPrefix: string,
	{overhead, resources}: {readonly overhead: ResourceFacts | null; readonly resources: ResourceFacts | null},
): Promise<void> {
	for (const facts of [overhead, resources]) assertResources(facts ?? NO_RESOURCES);
	const {id} = runtime.state.findSandbox(idOrPrefix);
	await runtime.locks.run(id, async () => {
		const sandbox = assertFound(runtime.state.sandbox(id), id);
		assertReady(sandbox);
		const config = {...sandbox.config, overhead: overhead ?? sandbox.config.overhead, resources: resources ?? sandbox.config.resources};
		const wanted = sumResources(config.resources ?? NO_RESOURCES, config.overhead ?? NO_RESOURCES);
		assertResources(wanted);
		const changes = runtime.cgroupDriver.isOwn(id, sandbox.cgroupParent) ? wanted : await raised(runtime, sandbox, wanted);
		await updateCgroup(runtime, {cgroupPath: sandbox.cgroupParent, merged: changes, changes}, async () => {
			await runtime.cgroupDriver.updatePod(id, changes);
			await runtime.state.put({...sandbox, config});
		});
	});
}

/** Of `wanted` what gives more than the cgroup has now; of weights and sets all. */
async function raised(runtime: Pick<Runtime, 'kernel' | 'cgroups'>, {cgroupParent}: SandboxRecord, wanted: ResourceFacts): Promise<ResourceFacts> {
	const now = await readActualResources(runtime, cgroupParent, NO_RESOURCES);
	const isMore = (limit: bigint, than: bigint): boolean => than > 0n && (limit < 0n || limit > than);
	const moreCpu = now.cpuQuotaUs > 0n && isMore(wanted.cpuQuotaUs * now.cpuPeriodUs, now.cpuQuotaUs * (wanted.cpuPeriodUs || 100_000n));
	const moreMemory = isMore(wanted.memoryLimitBytes, now.memoryLimitBytes);
	return {
		...wanted,
		cpuQuotaUs: moreCpu ? wanted.cpuQuotaUs : 0n,
		cpuPeriodUs: moreCpu ? wanted.cpuPeriodUs : 0n,
		memoryLimitBytes: moreMemory ? wanted.memoryLimitBytes : 0n,
		memorySwapLimitBytes: moreMemory ? wanted.memorySwapLimitBytes : 0n,
		// The kubelet has none of its own at this level.
		hugepageLimits: [],
	};
}
