import type {ContainerConfig__Output, PodSandboxConfig__Output} from '../../proto/cri.js';

/** For tests: `linux` of a container whose security context says little, as @grpc/proto-loader decodes it. */
export function security(changes: object): Pick<ContainerConfig__Output, 'linux'> {
	return {
		linux: {
			resources: null,
			security_context: {
				masked_paths: [],
				readonly_paths: [],
				supplemental_groups: [],
				run_as_user: null,
				run_as_group: null,
				run_as_username: '',
				seccomp: null,
				seccomp_profile_path: '',
				apparmor: null,
				apparmor_profile: '',
				selinux_options: null,
				...changes,
			} as never,
		},
	};
}

/** For tests: `linux` of a pod sandbox. */
export function podSecurity(changes: object, linux: object = {}): Pick<PodSandboxConfig__Output, 'linux'> {
	const nothing = {
		run_as_user: null,
		run_as_group: null,
		seccomp: null,
		seccomp_profile_path: '',
		apparmor: null,
		selinux_options: null,
		namespace_options: null,
	};
	return {linux: {cgroup_parent: '', sysctls: {}, overhead: null, resources: null, security_context: {...nothing, ...changes}, ...linux} as never};
}
