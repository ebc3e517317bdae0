import {InvalidArgumentError} from '../../base/errors.js';
import {NamespaceMode, type ContainerConfig__Output, type NamespaceOption__Output} from '../../proto/cri.js';
import {toCdiNames} from '../cdi/find.js';
import {assertResources, toResourceFacts} from '../cgroup/resources.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {assertAnnotations, toTimeOffsets} from './annotations.js';
import {assertCapabilities, toCapabilityWish} from './capabilities.js';
import {assertDevices} from './devices.js';
import {assertMounts} from './mounts.js';
import {assertPidOptions} from './pid-options.js';
import {assertProcess} from './process.js';
import {assertProfile, toSeccompChoice} from './security-profile.js';
import {assertSelinux} from './selinux.js';
import {toStopSignal} from './stop-signal.js';
import {toUserSpec} from './user.js';
import {assertInUserNamespace} from './user-namespace.js';

/**
 * Everything that can be told without looking at the image or the host.
 *
 * @throws {InvalidArgumentError | UnimplementedError} naming the first field that cannot be done, before anything is made.
 * @see api.proto, ContainerConfig.
 */
export function validateContainerConfig(config: ContainerConfig__Output, sandbox: SandboxRecord): void {
	const security = config.linux?.security_context ?? null;
	const privileged = security?.privileged ?? false;
	if ((config.metadata?.name ?? '') === '') throw new InvalidArgumentError('metadata.name is empty', {field: 'metadata.name'});
	if (config.metadata?.name.includes('\0') === true) throw new InvalidArgumentError('metadata.name is malformed', {field: 'metadata.name'});
	if ((config.image?.image ?? '') === '') throw new InvalidArgumentError('image.image is empty', {field: 'image.image'});
	if (config.windows) throw new InvalidArgumentError('windows is set on a Linux node', {field: 'windows'});
	toCdiNames(config);
	if (privileged && !sandbox.privileged)
		throw new InvalidArgumentError('security_context.privileged: the pod sandbox is not privileged', {field: 'security_context.privileged'});
	assertLogPath(config.log_path);
	assertProcess(config);
	assertMounts(config.mounts, privileged, sandbox.userNamespace);
	assertDevices(config.devices);
	assertResources(toResourceFacts(config.linux?.resources ?? null));
	assertCapabilities(toCapabilityWish(config));
	toUserSpec(config, '');
	toSeccompChoice(config);
	assertProfile('security_context.apparmor', security?.apparmor ?? null);
	assertSelinux(security?.selinux_options ?? null);
	toStopSignal(config.stop_signal, '');
	for (const field of ['masked_paths', 'readonly_paths'] as const) assertPaths(field, security?.[field] ?? []);
	assertAnnotations(config.annotations);
	toTimeOffsets({}, config.annotations);
	assertNamespaces(security?.namespace_options ?? null, sandbox);
	assertInUserNamespace(config, sandbox);
}

/** Below the pod's log_directory. */
function assertLogPath(path: string): void {
	if (path.includes('\0') || path.split('/').includes('..'))
		throw new InvalidArgumentError(`log_path "${path}" leads out of log_directory`, {field: 'log_path'});
}

function assertPaths(field: string, paths: readonly string[]): void {
	const bad = paths.find(path => !path.startsWith('/') || path.includes('\0'));
	if (bad !== undefined) throw new InvalidArgumentError(`security_context.${field}: "${bad}" is not an absolute path`, {field: `security_context.${field}`});
}

/** A container is in its pod's network and IPC namespaces; only the PID namespace is its own choice, as far as the pod has one. */
function assertNamespaces(options: NamespaceOption__Output | null, sandbox: SandboxRecord): void {
	if (options === null) return;
	const refuse = (field: string, rule: string): never => {
		throw new InvalidArgumentError(`namespace_options.${field}: ${rule}`, {field: `namespace_options.${field}`});
	};
	for (const field of ['network', 'ipc'] as const) {
		if (options[field] === NamespaceMode.NODE && sandbox.namespaces[field] !== 'node') refuse(field, 'NODE, but the pod sandbox has its own');
		if (options[field] === NamespaceMode.CONTAINER || options[field] === NamespaceMode.TARGET) refuse(field, 'only POD and NODE are known');
	}
	if (options.pid === NamespaceMode.NODE && sandbox.namespaces.pid !== 'node') refuse('pid', "NODE, but the pod sandbox does not share the node's");
	if (options.pid === NamespaceMode.POD && sandbox.namespaces.pid === 'container') refuse('pid', 'POD, but the pod sandbox was made with CONTAINER');
	assertPidOptions(options);
}
