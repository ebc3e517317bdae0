import {CgroupDriver, type RuntimeConfigRequest__Output, type RuntimeConfigResponse} from '../../proto/cri.js';
import type {Call} from '../call.js';

/** RuntimeConfig: the kubelet takes its cgroup driver from here. cgroup_parent is a cgroupfs path, never a slice. */
export async function handleRuntimeConfig(_call: Call, _request: RuntimeConfigRequest__Output): Promise<RuntimeConfigResponse> {
	return {linux: {cgroup_driver: CgroupDriver.CGROUPFS}};
}
