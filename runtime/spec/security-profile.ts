import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import {_runtime_v1_SecurityProfile_ProfileType as ProfileType, type SecurityProfile__Output} from '../../proto/gen/runtime/v1/SecurityProfile.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';
import type {HostFacts} from './host.js';

/** Which profile of a security module a container is to run under. */
export type ProfileChoice = {readonly kind: 'unconfined'} | {readonly kind: 'default'} | {readonly kind: 'localhost'; readonly ref: string};

/** @throws {InvalidArgumentError} Localhost without a reference, a reference without Localhost. */
export function assertProfile(field: string, profile: SecurityProfile__Output | null): void {
	if (!profile) return;
	const isLocalhost = profile.profile_type === ProfileType.Localhost;
	if (isLocalhost && profile.localhost_ref === '') throw new InvalidArgumentError(`${field}: Localhost needs localhost_ref`, {field});
	if (!isLocalhost && profile.localhost_ref !== '') throw new InvalidArgumentError(`${field}: localhost_ref is only for Localhost`, {field});
}

/**
 * @param deprecated the older string form: "", "unconfined", "runtime/default", "docker/default", "localhost/<ref>".
 * @param fallback what '' with no profile means.
 * @throws {InvalidArgumentError}
 */
export function toProfileChoice(field: string, profile: SecurityProfile__Output | null, deprecated: string, fallback: ProfileChoice): ProfileChoice {
	assertProfile(field, profile);
	if (profile !== null) {
		if (profile.profile_type === ProfileType.Localhost) return {kind: 'localhost', ref: profile.localhost_ref};
		return {kind: profile.profile_type === ProfileType.RuntimeDefault ? 'default' : 'unconfined'};
	}
	if (deprecated === '') return fallback;
	if (deprecated === 'unconfined') return {kind: 'unconfined'};
	if (deprecated === 'runtime/default' || deprecated === 'docker/default') return {kind: 'default'};
	if (deprecated.startsWith('localhost/') && deprecated.length > 'localhost/'.length) return {kind: 'localhost', ref: deprecated.slice('localhost/'.length)};
	throw new InvalidArgumentError(`${field}: "${deprecated}" is neither unconfined, runtime/default nor localhost/…`, {field});
}

/** No profile means unconfined (critest); privileged ignores profiles. @throws {InvalidArgumentError} */
export function toSeccompChoice(config: ContainerConfig__Output): ProfileChoice {
	const security = config.linux?.security_context ?? null;
	const choice = toProfileChoice('security_context.seccomp', security?.seccomp ?? null, security?.seccomp_profile_path ?? '', {kind: 'unconfined'});
	if (choice.kind === 'localhost' && !choice.ref.startsWith('/'))
		throw new InvalidArgumentError(`security_context.seccomp: localhost_ref "${choice.ref}" is not an absolute path`, {field: 'security_context.seccomp'});
	return security?.privileged === true ? {kind: 'unconfined'} : choice;
}

/**
 * AppArmor and SELinux cannot be applied yet, so nothing may be asked for that a kernel with them would enforce.
 *
 * On a kernel without AppArmor, a profile of its own is refused, and runtime/default is passed over, as everywhere. On a kernel without SELinux
 * labels are passed over: Kubernetes sets them on any node, and its own tests do.
 *
 * @throws {InvalidArgumentError | UnimplementedError} naming the field.
 */
export function assertSecurityModules(config: ContainerConfig__Output, host: Pick<HostFacts, 'apparmor' | 'selinux'>): void {
	const security = config.linux?.security_context ?? null;
	if (security === null || security.privileged) return;
	const field = 'security_context.apparmor';
	const choice = toProfileChoice(field, security.apparmor, security.apparmor_profile, host.apparmor ? {kind: 'unconfined'} : {kind: 'default'});
	if (choice.kind === 'localhost' && !host.apparmor)
		throw new InvalidArgumentError(`${field}: profile "${choice.ref}" is asked for, but this kernel has no AppArmor`, {field});
	if (choice.kind !== 'unconfined' && host.apparmor)
		throw new UnimplementedError(`${field}: AppArmor profiles are not implemented; ask for Unconfined`, {field});
	const labels = Object.values(security.selinux_options ?? {}).filter(label => label !== '');
	if (labels.length > 0 && host.selinux)
		throw new UnimplementedError('security_context.selinux_options: SELinux labels are not implemented', {field: 'security_context.selinux_options'});
}
