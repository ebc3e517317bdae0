import type {ContainerRecord} from '../container/record.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {addCgroup} from './cgroup-stats.js';
import {addContainer, hasVanished, runPass, type Collected, type StatsParts} from './container-stats.js';
import type {ContainerStatsFacts, SandboxStatsFacts} from './facts.js';
import {FilePass} from './file-pass.js';
import {addNetwork} from './network.js';

/** Statistics of pod sandboxes, in their order, with their containers that are not exited: one pass over all files. */
export async function readSandboxStats(
	runtime: StatsParts & Pick<Runtime, 'state' | 'monitors'>,
	sandboxes: readonly SandboxRecord[],
): Promise<readonly SandboxStatsFacts[]> {
	const pass = new FilePass();
	const containers: ContainerRecord[] = [];
	const reads = sandboxes.map(sandbox => {
		const members = liveContainers(runtime, sandbox);
		containers.push(...members);
		return addSandbox(pass, runtime, {sandbox, members});
	});
	const collected = await runPass(runtime, pass, containers);
	return reads.map(read => read(collected));
}

/** The containers of a pod that have, or had when they were listed, a process. */
export function liveContainers({state}: Pick<Runtime, 'state'>, {id}: SandboxRecord): readonly ContainerRecord[] {
	return state.containersOf(id).filter(({state: {phase}}) => phase === 'created' || phase === 'running');
}

type SandboxParts = StatsParts & Pick<Runtime, 'monitors'>;

interface PodMembers {
	readonly sandbox: SandboxRecord;
	readonly members: readonly ContainerRecord[];
}

function addSandbox(pass: FilePass, runtime: SandboxParts, {sandbox, members}: PodMembers): (collected: Collected) => SandboxStatsFacts {
	const cgroup = addCgroup(pass, {hierarchies: runtime.cgroups, cgroupPath: sandbox.cgroupParent}, sandbox.id);
	const network = addNetwork(pass, runtime, sandbox);
	const containers = members.map(record => ({record, read: addContainer(pass, runtime, record)}));
	return collected => ({
		sandboxId: sandbox.id,
		timestampNs: collected.atNs,
		...cgroup(runtime.cpuSamples, collected),
		network: network(),
		containers: containers.flatMap(({record, read}): ContainerStatsFacts[] => {
			const facts = read(collected);
			return hasVanished(record, facts) ? [] : [facts];
		}),
	});
}
