import {CgroupDriver, type RuntimeConfigRequest__Output, type RuntimeConfigResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/** RuntimeConfig: the kubelet takes its cgroup driver from here, and names cgroup_parent accordingly: a path, or a slice. */
export async function handleRuntimeConfig({runtime}: Call, _request: RuntimeConfigRequest__Output): Promise<RuntimeConfigResponse> {
	return {linux: {cgroup_driver: runtime.cgroupDriver.name === 'systemd' ? CgroupDriver.SYSTEMD : CgroupDriver.CGROUPFS}};
}
