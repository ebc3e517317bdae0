import {InvalidArgumentError, UnimplementedError} from '../../base/errors.js';
import {_runtime_v1_SecurityProfile_ProfileType as ProfileType, type SecurityProfile__Output} from '../../proto/gen/runtime/v1/SecurityProfile.js';
import type {ContainerConfig__Output} from '../../proto/cri.js';
import type {HostFacts} from './host.js';
import {toSelinuxLabels} from './selinux.js';

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

/** What a container's process and files are labelled with; null: not at all. */
export interface SecurityLabels {
	readonly apparmorProfile: string | null;
	readonly selinuxLabel: string | null;
	/** Of its root's files and tmpfs. */
	readonly mountLabel: string | null;
}

/**
 * Where the kernel enforces AppArmor, a profile by name: the config's for RuntimeDefault, and where nothing is said. Where it has none, a profile of
 * one's own is refused, and RuntimeDefault is passed over, as everywhere. On a kernel without SELinux labels are passed over: Kubernetes sets them
 * on any node, and its own tests do. Privileged containers have no label, and no profile but one that is asked for by name.
 *
 * @param options.apparmorProfile The profile of RuntimeDefault; "" = there is none.
 * @throws {InvalidArgumentError | UnimplementedError} naming the field.
 */
export function toSecurityLabels(
	config: ContainerConfig__Output,
	host: Pick<HostFacts, 'apparmor' | 'selinux'>,
	options: {readonly apparmorProfile: string},
): SecurityLabels {
	const security = config.linux?.security_context ?? null;
	const labels = security === null || security.privileged || !host.selinux ? null : toSelinuxLabels(security.selinux_options);
	return {
		apparmorProfile: toApparmorProfile(config, host.apparmor, options.apparmorProfile),
		selinuxLabel: labels?.process ?? null,
		mountLabel: labels?.files ?? null,
	};
}

const APPARMOR = 'security_context.apparmor';
/** How the older string form begins; some callers write it in the new one too. */
const LOCALHOST = 'localhost/';

function toApparmorProfile(config: ContainerConfig__Output, enforced: boolean, byDefault: string): string | null {
	const security = config.linux?.security_context ?? null;
	const fallback = {kind: byDefault === '' ? 'unconfined' : 'default'} as const;
	const choice = toProfileChoice(APPARMOR, security?.apparmor ?? null, security?.apparmor_profile ?? '', fallback);
	if (choice.kind === 'localhost') {
		const name = choice.ref.startsWith(LOCALHOST) ? choice.ref.slice(LOCALHOST.length) : choice.ref;
		if (!enforced) throw new InvalidArgumentError(`${APPARMOR}: profile "${name}" is asked for, but this kernel has no AppArmor`, {field: APPARMOR});
		return name;
	}
	if (choice.kind === 'unconfined' || !enforced || security?.privileged === true) return null;
	if (byDefault === '')
		throw new UnimplementedError(`${APPARMOR}: RuntimeDefault is asked for, but the config names no profile: runtime.apparmor_profile`, {field: APPARMOR});
	return byDefault;
}
