import {MetricType, type Metric, type MetricDescriptor, type PodSandboxMetrics} from '../../proto/cri.js';
import type {ContainerRecord} from '../../runtime/container/record.js';
import type {SandboxRecord} from '../../runtime/sandbox/record.js';
import {DESCRIPTORS, type MetricDescriptor as Descriptor} from '../../runtime/stats/metrics/descriptors.js';
import type {MetricFacts} from '../../runtime/stats/metrics/metric.js';
import type {SandboxMetricsFacts} from '../../runtime/stats/metrics/sandbox-metrics.js';

export function toMetricDescriptor({name, help, labelKeys}: Descriptor): MetricDescriptor {
	return {name, help, label_keys: [...labelKeys]};
}

/** What cAdvisor has as container name on metrics of the pod itself, and CRI-O too. */
const POD = 'POD';

export function toPodMetrics({metadata}: SandboxRecord, {sandboxId, metrics, containers}: SandboxMetricsFacts): PodSandboxMetrics {
	const {namespace, name} = metadata;
	return {
		pod_sandbox_id: sandboxId,
		metrics: metrics.map(facts => toMetric(facts, [sandboxId, '', namespace, name, POD])),
		container_metrics: containers.map(({record, metrics: own}) => {
			const labels = [record.id, toImageName(record), namespace, name, record.metadata.name];
			return {container_id: record.id, metrics: own.map(facts => toMetric(facts, labels))};
		}),
	};
}

/** As its users know it. */
export function toImageName({image}: ContainerRecord): string {
	return image.userSpecified || image.asked;
}

/** @param base in the order of BASE_LABELS. */
function toMetric({name, labels, value, timestampNs}: MetricFacts, base: readonly string[]): Metric {
	return {
		name,
		timestamp: String(timestampNs),
		metric_type: DESCRIPTORS.get(name)?.type === 'gauge' ? MetricType.GAUGE : MetricType.COUNTER,
		label_values: [...base, ...labels],
		value: {value: String(value)},
	};
}
