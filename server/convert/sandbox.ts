import {NamespaceMode, PodSandboxState, type PodSandbox, type PodSandboxStatus} from '../../proto/cri.js';
import type {NamespaceMode as RecordedMode, SandboxRecord} from '../../runtime/sandbox/record.js';
import {toIdMappings} from './id-mappings.js';
import {perRecord} from './per-record.js';

const MODES: Readonly<Record<RecordedMode, NamespaceMode>> = {
	pod: NamespaceMode.POD,
	container: NamespaceMode.CONTAINER,
	node: NamespaceMode.NODE,
	target: NamespaceMode.TARGET,
};

/** An item of ListPodSandbox. */
export const toPodSandbox = perRecord(
	(record: SandboxRecord): PodSandbox => ({
		id: record.id,
		metadata: record.metadata,
		state: toState(record),
		created_at: String(record.createdAtNs),
		labels: record.labels,
		annotations: record.annotations,
		runtime_handler: record.runtimeHandler,
	}),
);

/** The kubelet takes addresses only of a ready sandbox; a host-network one has none of its own. */
export const toPodSandboxStatus = perRecord((record: SandboxRecord): PodSandboxStatus => {
	const [ip = '', ...additional] = record.state.phase === 'ready' ? record.ips : [];
	const {network, pid, ipc, targetId} = record.namespaces;
	const {userNamespace} = record;
	const userns_options = userNamespace === null ? null : {mode: NamespaceMode.POD, ...toIdMappings(userNamespace)};
	return {
		...toPodSandbox(record),
		network: {ip, additional_ips: additional.map(address => ({ip: address}))},
		linux: {namespaces: {options: {network: MODES[network], pid: MODES[pid], ipc: MODES[ipc], target_id: targetId, userns_options}}},
	};
});

function toState(record: SandboxRecord): PodSandboxState {
	return record.state.phase === 'ready' ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;
}
