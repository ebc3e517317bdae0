import type {ListMetricDescriptorsResponse} from '../../proto/cri.js';
import {listDescriptors} from '../../runtime/stats/metrics/descriptors.js';
import type {Call} from '../call.js';
import {toMetricDescriptor} from '../convert/metrics.js';

/** ListMetricDescriptors: of every metric that ListPodSandboxMetrics may have; the kubelet asks once. */
export async function handleListMetricDescriptors({runtime}: Call): Promise<ListMetricDescriptorsResponse> {
	return {descriptors: listDescriptors(runtime.options.podMetrics).map(toMetricDescriptor)};
}
