import type {RuntimeServiceHandlers} from '../../proto/cri.js';
import type {Daemon} from '../call.js';
import {wrap, wrapStream} from '../grpc.js';
import {noCheckpoints} from '../unimplemented.js';
import {handleAttach} from './attach.js';
import {handleContainerStats} from './container-stats.js';
import {handleContainerStatus} from './container-status.js';
import {handleCreateContainer} from './create-container.js';
import {handleExec} from './exec.js';
import {handleExecSync} from './exec-sync.js';
import {handleGetContainerEvents} from './get-container-events.js';
import {handleListContainerStats} from './list-container-stats.js';
import {handleListContainers} from './list-containers.js';
import {handleListMetricDescriptors} from './list-metric-descriptors.js';
import {handleListPodSandbox} from './list-pod-sandbox.js';
import {handleListPodSandboxMetrics} from './list-pod-sandbox-metrics.js';
import {handleListPodSandboxStats} from './list-pod-sandbox-stats.js';
import {handlePortForward} from './port-forward.js';
import {handlePodSandboxStats} from './pod-sandbox-stats.js';
import {handlePodSandboxStatus} from './pod-sandbox-status.js';
import {handleRemoveContainer} from './remove-container.js';
import {handleRemovePodSandbox} from './remove-pod-sandbox.js';
import {handleReopenContainerLog} from './reopen-container-log.js';
import {handleRunPodSandbox} from './run-pod-sandbox.js';
import {handleRuntimeConfig} from './runtime-config.js';
import {handleStartContainer} from './start-container.js';
import {handleStatus} from './status.js';
import {handleStreamContainerStats} from './stream-container-stats.js';
import {handleStreamContainers} from './stream-containers.js';
import {handleStreamPodSandboxMetrics} from './stream-pod-sandbox-metrics.js';
import {handleStreamPodSandboxStats} from './stream-pod-sandbox-stats.js';
import {handleStreamPodSandboxes} from './stream-pod-sandboxes.js';
import {handleStopContainer} from './stop-container.js';
import {handleStopPodSandbox} from './stop-pod-sandbox.js';
import {handleUpdateContainerResources} from './update-container-resources.js';
import {handleUpdatePodSandboxResources} from './update-pod-sandbox-resources.js';
import {handleUpdateRuntimeConfig} from './update-runtime-config.js';
import {handleVersion} from './version.js';

/** All 37 calls of RuntimeService in CRI 0.37. */
export function runtimeService(daemon: Daemon): RuntimeServiceHandlers {
	return {...sandboxCalls(daemon), ...containerCalls(daemon), ...statsCalls(daemon), ...nodeCalls(daemon), ...checkpointCalls(daemon)};
}

function sandboxCalls(daemon: Daemon) {
	return {
		RunPodSandbox: wrap('RunPodSandbox', 'changes', daemon, handleRunPodSandbox),
		StopPodSandbox: wrap('StopPodSandbox', 'changes', daemon, handleStopPodSandbox),
		RemovePodSandbox: wrap('RemovePodSandbox', 'changes', daemon, handleRemovePodSandbox),
		PodSandboxStatus: wrap('PodSandboxStatus', 'reads', daemon, handlePodSandboxStatus),
		UpdatePodSandboxResources: wrap('UpdatePodSandboxResources', 'changes', daemon, handleUpdatePodSandboxResources),
		ListPodSandbox: wrap('ListPodSandbox', 'reads', daemon, handleListPodSandbox),
		StreamPodSandboxes: wrapStream('StreamPodSandboxes', 'reads', daemon, handleStreamPodSandboxes),
		PortForward: wrap('PortForward', 'changes', daemon, handlePortForward),
	} satisfies Partial<RuntimeServiceHandlers>;
}

function containerCalls(daemon: Daemon) {
	return {
		CreateContainer: wrap('CreateContainer', 'changes', daemon, handleCreateContainer),
		StartContainer: wrap('StartContainer', 'changes', daemon, handleStartContainer),
		StopContainer: wrap('StopContainer', 'changes', daemon, handleStopContainer),
		RemoveContainer: wrap('RemoveContainer', 'changes', daemon, handleRemoveContainer),
		UpdateContainerResources: wrap('UpdateContainerResources', 'changes', daemon, handleUpdateContainerResources),
		ListContainers: wrap('ListContainers', 'reads', daemon, handleListContainers),
		StreamContainers: wrapStream('StreamContainers', 'reads', daemon, handleStreamContainers),
		ContainerStatus: wrap('ContainerStatus', 'reads', daemon, handleContainerStatus),
		ReopenContainerLog: wrap('ReopenContainerLog', 'changes', daemon, handleReopenContainerLog),
		// Probes come every second: at info they would drown the rest.
		ExecSync: wrap('ExecSync', 'reads', daemon, handleExecSync),
		Exec: wrap('Exec', 'changes', daemon, handleExec),
		Attach: wrap('Attach', 'changes', daemon, handleAttach),
	} satisfies Partial<RuntimeServiceHandlers>;
}

function statsCalls(daemon: Daemon) {
	return {
		ContainerStats: wrap('ContainerStats', 'reads', daemon, handleContainerStats),
		ListContainerStats: wrap('ListContainerStats', 'reads', daemon, handleListContainerStats),
		StreamContainerStats: wrapStream('StreamContainerStats', 'reads', daemon, handleStreamContainerStats),
		PodSandboxStats: wrap('PodSandboxStats', 'reads', daemon, handlePodSandboxStats),
		ListPodSandboxStats: wrap('ListPodSandboxStats', 'reads', daemon, handleListPodSandboxStats),
		ListMetricDescriptors: wrap('ListMetricDescriptors', 'reads', daemon, handleListMetricDescriptors),
		ListPodSandboxMetrics: wrap('ListPodSandboxMetrics', 'reads', daemon, handleListPodSandboxMetrics),
		StreamPodSandboxMetrics: wrapStream('StreamPodSandboxMetrics', 'reads', daemon, handleStreamPodSandboxMetrics),
		StreamPodSandboxStats: wrapStream('StreamPodSandboxStats', 'reads', daemon, handleStreamPodSandboxStats),
	} satisfies Partial<RuntimeServiceHandlers>;
}

function nodeCalls(daemon: Daemon) {
	return {
		Version: wrap('Version', 'reads', daemon, handleVersion),
		Status: wrap('Status', 'reads', daemon, handleStatus),
		RuntimeConfig: wrap('RuntimeConfig', 'reads', daemon, handleRuntimeConfig),
		UpdateRuntimeConfig: wrap('UpdateRuntimeConfig', 'changes', daemon, handleUpdateRuntimeConfig),
		GetContainerEvents: wrapStream('GetContainerEvents', 'reads', daemon, handleGetContainerEvents),
	} satisfies Partial<RuntimeServiceHandlers>;
}

function checkpointCalls(daemon: Daemon) {
	return {
		CheckpointContainer: noCheckpoints('CheckpointContainer', daemon),
		CheckpointPod: noCheckpoints('CheckpointPod', daemon),
		RestorePod: noCheckpoints('RestorePod', daemon),
	} satisfies Partial<RuntimeServiceHandlers>;
}
