/** Names, help texts and labels are those of cAdvisor that the kubelet's /metrics/cadvisor shows (cadvisor lib/metrics/prometheus.go), so that dashboards go on. */
export type MetricGroup = (typeof METRIC_GROUPS)[number];

/** What may be left out by config: [stats] included_pod_metrics. */
export const METRIC_GROUPS = ['cpu', 'memory', 'oom', 'network', 'disk', 'diskIO', 'process', 'spec', 'pressure', 'hugetlb'] as const;

export interface MetricDescriptor {
	readonly name: string;
	readonly help: string;
	readonly type: 'counter' | 'gauge';
	/** In the order of the values: BASE_LABELS, then the metric's own. */
	readonly labelKeys: readonly string[];
}

/** On every metric; the kubelet adds none. Both peers have these. */
export const BASE_LABELS = ['id', 'image', 'namespace', 'pod', 'container'] as const;

type Row = readonly [name: string, type: 'counter' | 'gauge', help: string, ...labels: string[]];

const ALWAYS: readonly Row[] = [['container_last_seen', 'gauge', 'Last time a container was seen by the exporter']];

const ROWS: Readonly<Record<MetricGroup, readonly Row[]>> = {
	cpu: [
		['container_cpu_user_seconds_total', 'counter', 'Cumulative user cpu time consumed in seconds.'],
		['container_cpu_system_seconds_total', 'counter', 'Cumulative system cpu time consumed in seconds.'],
		['container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.', 'cpu'],
		['container_cpu_cfs_periods_total', 'counter', 'Number of elapsed enforcement period intervals.'],
		['container_cpu_cfs_throttled_periods_total', 'counter', 'Number of throttled period intervals.'],
		['container_cpu_cfs_throttled_seconds_total', 'counter', 'Total time duration the container has been throttled.'],
	],
	memory: [
		['container_memory_cache', 'gauge', 'Number of bytes of page cache memory.'],
		['container_memory_rss', 'gauge', 'Size of RSS in bytes.'],
		['container_memory_kernel_usage', 'gauge', 'Size of kernel memory allocated in bytes.'],
		['container_memory_mapped_file', 'gauge', 'Size of memory mapped files in bytes.'],
		['container_memory_swap', 'gauge', 'Container swap usage in bytes.'],
		['container_memory_failcnt', 'counter', 'Number of memory usage hits limits'],
		['container_memory_usage_bytes', 'gauge', 'Current memory usage in bytes, including all memory regardless of when it was accessed'],
		['container_memory_max_usage_bytes', 'gauge', 'Maximum memory usage recorded in bytes'],
		['container_memory_working_set_bytes', 'gauge', 'Current working set in bytes.'],
		['container_memory_total_active_file_bytes', 'gauge', 'Current total active file in bytes.'],
		['container_memory_total_inactive_file_bytes', 'gauge', 'Current total inactive file in bytes.'],
		['container_memory_failures_total', 'counter', 'Cumulative count of memory allocation failures.', 'failure_type', 'scope'],
	],
	oom: [['container_oom_events_total', 'counter', 'Count of out of memory events observed for the container']],
	network: [
		['container_network_receive_bytes_total', 'counter', 'Cumulative count of bytes received', 'interface'],
		['container_network_receive_packets_total', 'counter', 'Cumulative count of packets received', 'interface'],
		['container_network_receive_packets_dropped_total', 'counter', 'Cumulative count of packets dropped while receiving', 'interface'],
		['container_network_receive_errors_total', 'counter', 'Cumulative count of errors encountered while receiving', 'interface'],
		['container_network_transmit_bytes_total', 'counter', 'Cumulative count of bytes transmitted', 'interface'],
		['container_network_transmit_packets_total', 'counter', 'Cumulative count of packets transmitted', 'interface'],
		['container_network_transmit_packets_dropped_total', 'counter', 'Cumulative count of packets dropped while transmitting', 'interface'],
		['container_network_transmit_errors_total', 'counter', 'Cumulative count of errors encountered while transmitting', 'interface'],
	],
	disk: [
		['container_fs_inodes_free', 'gauge', 'Number of available Inodes', 'device'],
		['container_fs_inodes_total', 'gauge', 'Number of Inodes', 'device'],
		['container_fs_limit_bytes', 'gauge', 'Number of bytes that can be consumed by the container on this filesystem.', 'device'],
		['container_fs_usage_bytes', 'gauge', 'Number of bytes that are consumed by the container on this filesystem.', 'device'],
	],
	diskIO: [
		['container_fs_reads_bytes_total', 'counter', 'Cumulative count of bytes read', 'device'],
		['container_fs_reads_total', 'counter', 'Cumulative count of reads completed', 'device'],
		['container_fs_writes_bytes_total', 'counter', 'Cumulative count of bytes written', 'device'],
		['container_fs_writes_total', 'counter', 'Cumulative count of writes completed', 'device'],
		['container_blkio_device_usage_total', 'counter', 'Blkio Device bytes usage', 'device', 'major', 'minor', 'operation'],
	],
	process: [
		['container_processes', 'gauge', 'Number of processes running inside the container.'],
		['container_file_descriptors', 'gauge', 'Number of open file descriptors for the container.'],
		['container_sockets', 'gauge', 'Number of open sockets for the container.'],
		['container_threads_max', 'gauge', 'Maximum number of threads allowed inside the container, infinity if value is zero'],
		['container_threads', 'gauge', 'Number of threads running inside the container'],
		['container_ulimits_soft', 'gauge', 'Soft ulimit values for the container root process. Unlimited if -1, except priority and nice', 'ulimit'],
	],
	spec: [
		['container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds.'],
		['container_spec_cpu_period', 'gauge', 'CPU period of the container.'],
		['container_spec_cpu_quota', 'gauge', 'CPU quota of the container.'],
		['container_spec_cpu_shares', 'gauge', 'CPU share of the container.'],
		['container_spec_memory_limit_bytes', 'gauge', 'Memory limit for the container.'],
		['container_spec_memory_swap_limit_bytes', 'gauge', 'Memory swap limit for the container.'],
		['container_spec_memory_reservation_limit_bytes', 'gauge', 'Memory reservation limit for the container.'],
	],
	pressure: [
		['container_pressure_cpu_stalled_seconds_total', 'counter', 'Total time duration no tasks in the container could make progress due to CPU congestion.'],
		['container_pressure_cpu_waiting_seconds_total', 'counter', 'Total time duration tasks in the container have waited due to CPU congestion.'],
		[
			'container_pressure_memory_stalled_seconds_total',
			'counter',
			'Total time duration no tasks in the container could make progress due to memory congestion.',
		],
		['container_pressure_memory_waiting_seconds_total', 'counter', 'Total time duration tasks in the container have waited due to memory congestion.'],
		['container_pressure_io_stalled_seconds_total', 'counter', 'Total time duration no tasks in the container could make progress due to IO congestion.'],
		['container_pressure_io_waiting_seconds_total', 'counter', 'Total time duration tasks in the container have waited due to IO congestion.'],
	],
	hugetlb: [
		['container_hugetlb_usage_bytes', 'gauge', 'Current hugepage usage in bytes', 'pagesize'],
		['container_hugetlb_max_usage_bytes', 'gauge', 'Maximum hugepage usage recorded in bytes', 'pagesize'],
	],
};

/** All metrics that pods have with these groups, each once. */
export function listDescriptors(groups: readonly MetricGroup[]): readonly MetricDescriptor[] {
	const wanted = METRIC_GROUPS.filter(group => groups.includes(group));
	return [...ALWAYS, ...wanted.flatMap(group => ROWS[group])].map(toDescriptor);
}

/** By name, of all groups. */
export const DESCRIPTORS: ReadonlyMap<string, MetricDescriptor> = new Map(listDescriptors(METRIC_GROUPS).map(descriptor => [descriptor.name, descriptor]));

function toDescriptor([name, type, help, ...labels]: Row): MetricDescriptor {
	return {name, type, help, labelKeys: [...BASE_LABELS, ...labels]};
}
