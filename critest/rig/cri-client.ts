import {credentials, Metadata, type CallOptions, type ClientReadableStream, type ServiceError} from '@grpc/grpc-js';
import {patientMs} from '../../base/test-patience.js';
import {loadCri} from '../../proto/loader.js';
import type * as cri from '../../proto/cri.js';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** request → reply of each call that the tests make. A missing field has proto3's default. */
interface Calls {
	Version: [cri.VersionRequest, cri.VersionResponse__Output];
	RuntimeConfig: [cri.RuntimeConfigRequest, cri.RuntimeConfigResponse__Output];
	Status: [cri.StatusRequest, cri.StatusResponse__Output];
	RunPodSandbox: [cri.RunPodSandboxRequest, cri.RunPodSandboxResponse__Output];
	StopPodSandbox: [cri.StopPodSandboxRequest, cri.StopPodSandboxResponse__Output];
	RemovePodSandbox: [cri.RemovePodSandboxRequest, cri.RemovePodSandboxResponse__Output];
	PodSandboxStatus: [cri.PodSandboxStatusRequest, cri.PodSandboxStatusResponse__Output];
	ListPodSandbox: [cri.ListPodSandboxRequest, cri.ListPodSandboxResponse__Output];
	CreateContainer: [cri.CreateContainerRequest, cri.CreateContainerResponse__Output];
	StartContainer: [cri.StartContainerRequest, cri.StartContainerResponse__Output];
	StopContainer: [cri.StopContainerRequest, cri.StopContainerResponse__Output];
	UpdateContainerResources: [cri.UpdateContainerResourcesRequest, cri.UpdateContainerResourcesResponse__Output];
	UpdatePodSandboxResources: [cri.UpdatePodSandboxResourcesRequest, cri.UpdatePodSandboxResourcesResponse__Output];
	RemoveContainer: [cri.RemoveContainerRequest, cri.RemoveContainerResponse__Output];
	ContainerStatus: [cri.ContainerStatusRequest, cri.ContainerStatusResponse__Output];
	ListContainers: [cri.ListContainersRequest, cri.ListContainersResponse__Output];
	ContainerStats: [cri.ContainerStatsRequest, cri.ContainerStatsResponse__Output];
	ListContainerStats: [cri.ListContainerStatsRequest, cri.ListContainerStatsResponse__Output];
	PodSandboxStats: [cri.PodSandboxStatsRequest, cri.PodSandboxStatsResponse__Output];
	ListPodSandboxStats: [cri.ListPodSandboxStatsRequest, cri.ListPodSandboxStatsResponse__Output];
	ListMetricDescriptors: [cri.ListMetricDescriptorsRequest, cri.ListMetricDescriptorsResponse__Output];
	ListPodSandboxMetrics: [cri.ListPodSandboxMetricsRequest, cri.ListPodSandboxMetricsResponse__Output];
	ReopenContainerLog: [cri.ReopenContainerLogRequest, cri.ReopenContainerLogResponse__Output];
	ExecSync: [cri.ExecSyncRequest, cri.ExecSyncResponse__Output];
	Exec: [cri.ExecRequest, cri.ExecResponse__Output];
	PortForward: [cri.PortForwardRequest, cri.PortForwardResponse__Output];
	UpdateRuntimeConfig: [cri.UpdateRuntimeConfigRequest, cri.UpdateRuntimeConfigResponse__Output];
	CheckpointContainer: [cri.CheckpointContainerRequest, cri.CheckpointContainerResponse__Output];
	CheckpointPod: [cri.CheckpointPodRequest, cri.CheckpointPodResponse__Output];
	RestorePod: [cri.RestorePodRequest, cri.RestorePodResponse__Output];
	Attach: [cri.AttachRequest, cri.AttachResponse__Output];
}
interface ImageCalls {
	PullImage: [cri.PullImageRequest, cri.PullImageResponse__Output];
	ListImages: [cri.ListImagesRequest, cri.ListImagesResponse__Output];
	ImageStatus: [cri.ImageStatusRequest, cri.ImageStatusResponse__Output];
	RemoveImage: [cri.RemoveImageRequest, cri.RemoveImageResponse__Output];
	ImageFsInfo: [cri.ImageFsInfoRequest, cri.ImageFsInfoResponse__Output];
}

/** Calls that answer with a stream. */
interface StreamCalls {
	GetContainerEvents: [cri.GetEventsRequest, cri.ContainerEventResponse__Output];
	StreamPodSandboxes: [cri.StreamPodSandboxesRequest, cri.StreamPodSandboxesResponse__Output];
	StreamContainers: [cri.StreamContainersRequest, cri.StreamContainersResponse__Output];
	StreamContainerStats: [cri.StreamContainerStatsRequest, cri.StreamContainerStatsResponse__Output];
	StreamPodSandboxStats: [cri.StreamPodSandboxStatsRequest, cri.StreamPodSandboxStatsResponse__Output];
	StreamPodSandboxMetrics: [cri.StreamPodSandboxMetricsRequest, cri.StreamPodSandboxMetricsResponse__Output];
}

/** The CRI over the daemon's socket. */
export interface CriClient {
	/** @throws {ServiceError} what the daemon answered; DEADLINE_EXCEEDED after `timeoutMs` (60,000), times the patience. */
	call<K extends keyof Calls>(name: K, request: Calls[K][0], timeoutMs?: number): Promise<Calls[K][1]>;
	image<K extends keyof ImageCalls>(name: K, request: ImageCalls[K][0], timeoutMs?: number): Promise<ImageCalls[K][1]>;
	/** Without a deadline. Its event 'metadata' says that the daemon has begun to answer. */
	stream<K extends keyof StreamCalls>(name: K, request: StreamCalls[K][0]): ClientReadableStream<StreamCalls[K][1]>;
	close(): void;
}

type Unary = (request: unknown, metadata: Metadata, options: CallOptions, done: (error: ServiceError | null, reply: unknown) => void) => void;

export function openCriClient(socket: string): CriClient {
	const services = loadCri();
	const options = {'grpc.max_receive_message_length': MAX_MESSAGE_BYTES, 'grpc.initial_reconnect_backoff_ms': 20, 'grpc.max_reconnect_backoff_ms': 200};
	const runtime = new services.RuntimeService(`unix:${socket}`, credentials.createInsecure(), options);
	const images = new services.ImageService(`unix:${socket}`, credentials.createInsecure(), options);
	const ask = (client: object, name: string, request: unknown, timeoutMs: number): Promise<unknown> =>
		new Promise((resolve, reject) => {
			const method = (client as Record<string, Unary>)[name];
			if (method === undefined) throw new Error(`no call ${name}`);
			method.call(client, request, new Metadata(), {deadline: Date.now() + patientMs(timeoutMs)}, (error, reply) =>
				error === null ? resolve(reply) : reject(error),
			);
		});
	return {
		call: (name, request, timeoutMs = 60_000) => ask(runtime, name, request, timeoutMs) as Promise<never>,
		image: (name, request, timeoutMs = 60_000) => ask(images, name, request, timeoutMs) as Promise<never>,
		stream: (name, request) => (runtime as unknown as Record<string, (request: object) => ClientReadableStream<never>>)[name]!.call(runtime, request),
		close: () => {
			runtime.close();
			images.close();
		},
	};
}
