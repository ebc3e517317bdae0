import {join} from 'node:path';
import {InvalidArgumentError, WrongStateError} from '../../base/errors.js';
import type {ImageRecord} from '../../image/image.js';
import type {CgroupPlan, LaunchSpec} from '../../native/native.js';
import {NamespaceMode, type ContainerConfig__Output} from '../../proto/cri.js';
import {toCdiChanges} from '../cdi/edits.js';
import {findCdiEdits, toCdiNames} from '../cdi/find.js';
import {toCgroupExtras} from '../cgroup/annotations.js';
import {toExtraPlan, withExtra} from '../cgroup/extra-plan.js';
import {toCgroupName} from '../cgroup/names.js';
import {toContainerCgroupPlan} from '../cgroup/plan.js';
import {toResourceFacts} from '../cgroup/resources.js';
import {assertRunning, type ContainerRecord, type MountFacts} from '../container/record.js';
import type {Snapshots} from '../container/snapshots.js';
import type {LaunchFacts} from '../handler/handler.js';
import type {Runtime} from '../runtime.js';
import type {SandboxRecord} from '../sandbox/record.js';
import {toTimeOffsets} from './annotations.js';
import {toCapabilitySets, toCapabilityWish} from './capabilities.js';
import {findDevices} from './devices.js';
import {toExecFacts} from './exec.js';
import {hostFacts} from './host.js';
import {findImageMounts, type ImageMount} from './image-mounts.js';
import {toLaunchSpec, toProcess} from './launch-spec.js';
import {toSeccompChoice, toSecurityLabels} from './security-profile.js';
import {toStopSignal} from './stop-signal.js';
import {toIdMaps} from './user-namespace.js';

export {validateContainerConfig} from './container-config.js';

/** A container that is to be made. */
export interface LaunchPlan {
	/** Phase `creating`; pid 0 and root until the init has resolved the user. */
	readonly record: ContainerRecord;
	/** SELinux label of its files; null: none. */
	readonly mountLabel: string | null;
	/** The images among its mounts. */
	readonly volumes: readonly ImageMount[];
	/** Once its writable layer is there, and the mounted images are. */
	readonly toSpec: (snapshots: Snapshots) => LaunchSpec;
	readonly facts: LaunchFacts;
}

export interface PlanInput {
	readonly id: string;
	readonly sandbox: SandboxRecord;
	/** Has passed validateContainerConfig. */
	readonly config: ContainerConfig__Output;
	readonly image: ImageRecord;
}

/**
 * Decides everything about a container before anything is made.
 *
 * @throws {InvalidArgumentError | UnimplementedError} naming field or file; {NotFoundError | WrongStateError} of a TARGET container.
 */
export async function planLaunch(
	runtime: Pick<Runtime, 'options' | 'cgroups' | 'images' | 'seccomp' | 'state' | 'clock'>,
	input: PlanInput,
): Promise<LaunchPlan> {
	const {id, sandbox, config, image} = input;
	const host = await hostFacts();
	const labels = toSecurityLabels(config, host, runtime.options);
	const timeOffsets = toTimeOffsets(sandbox.annotations, config.annotations);
	const volumes = findImageMounts(runtime.images, config);
	const capabilities = toCapabilitySets(toCapabilityWish(config), runtime.options.defaultCapabilities, host.capabilities);
	const cdi = toCdiChanges(await findCdiEdits(runtime.options.cdiSpecDirs, toCdiNames(config)));
	const [devices, filter] = await Promise.all([findDevices(config, cdi.deviceNodes), runtime.seccomp.choose(toSeccompChoice(config), capabilities.bounding)]);
	const process = toProcess({sandbox, config, image, capabilities, seccomp: filter?.program ?? null, rlimits: runtime.options.defaultRlimits, labels, cdi});
	const cgroupPath = join(sandbox.cgroupParent, toCgroupName(runtime.options, id));
	const resources = toResourceFacts(config.linux?.resources ?? null);
	const cgroup = await planCgroup(runtime, input, {cgroupPath, resources, deviceRules: devices.rules});
	const targetPid = findTargetPid(runtime, config, sandbox);
	const logPath = toLogPath(config, sandbox);
	const record = {
		...toRecordFacts(input, volumes),
		createdAtNs: runtime.clock.nowNs(),
		logPath,
		cgroupPath,
		cgroupJoin: cgroup.join,
		exec: toExecFacts(process, NOBODY_YET, filter?.key ?? null),
	};
	const {maxLogLineBytes} = runtime.options;
	const toSpec = (snapshots: Snapshots): LaunchSpec =>
		toLaunchSpec({
			containerId: id,
			sandbox,
			config,
			image,
			snapshots,
			hierarchies: runtime.cgroups,
			cgroup,
			devices,
			process,
			logPath: logPath === '' ? null : logPath,
			maxLogLineBytes,
			targetPid,
			cdi,
			timeOffsets,
			mountLabel: labels.mountLabel,
		});
	return {record, mountLabel: labels.mountLabel, volumes, toSpec, facts: {cgroupPath, resources, deviceRules: devices.rules, seccomp: filter?.rules ?? null}};
}

/** Later writes win: what the config file says, then annotations, then the CRI's own fields. */
async function planCgroup(
	{cgroups, options}: Pick<Runtime, 'cgroups' | 'options'>,
	{sandbox, config}: PlanInput,
	{cgroupPath, resources, deviceRules}: Pick<LaunchFacts, 'cgroupPath' | 'resources' | 'deviceRules'>,
): Promise<CgroupPlan> {
	const plan = toContainerCgroupPlan(cgroups, cgroupPath, resources, deviceRules);
	const asked = toCgroupExtras({pod: sandbox.annotations, container: config.annotations, containerName: config.metadata?.name ?? ''});
	const extras = {...asked, pidsLimit: asked.pidsLimit ?? (options.pidsLimit === 0 ? null : BigInt(options.pidsLimit))};
	return withExtra(plan, await toExtraPlan({hierarchies: cgroups, cgroupPath, podPath: sandbox.cgroupParent}, extras));
}

/** Until the init has looked the user up in the image. */
const NOBODY_YET = {uid: 0, gid: 0, supplementalGids: []};

type RecordFacts = Omit<ContainerRecord, 'createdAtNs' | 'logPath' | 'cgroupPath' | 'cgroupJoin' | 'exec'>;

function toRecordFacts({id, sandbox, config, image}: PlanInput, volumes: readonly ImageMount[]): RecordFacts {
	return {
		kind: 'container',
		id,
		sandboxId: sandbox.id,
		metadata: {name: config.metadata?.name ?? '', attempt: config.metadata?.attempt ?? 0},
		labels: config.labels,
		annotations: config.annotations,
		image: {asked: config.image?.image ?? '', userSpecified: config.image?.user_specified_image ?? '', id: image.id},
		state: {phase: 'creating'},
		pid: 0,
		mounts: config.mounts.map((mount, index) => toMountFacts(mount, volumes.find(volume => volume.index === index) ?? null)),
		resources: toResourceFacts(config.linux?.resources ?? null),
		user: NOBODY_YET,
		tty: config.tty,
		stdin: config.stdin,
		stdinOnce: config.stdin_once,
		stopSignal: toStopSignal(config.stop_signal, image.config.stopSignal),
		privileged: config.linux?.security_context?.privileged ?? false,
	};
}

function toMountFacts(mount: ContainerConfig__Output['mounts'][number], volume: ImageMount | null): MountFacts {
	return {
		containerPath: mount.container_path,
		hostPath: mount.host_path,
		readonly: mount.readonly || volume !== null,
		selinuxRelabel: mount.selinux_relabel,
		propagation: mount.propagation,
		recursiveReadOnly: mount.recursive_read_only,
		mountOptions: mount.mount_options,
		idMaps: toIdMaps(mount),
		image: volume?.facts ?? null,
	};
}

/** '' = none: the pod has no log directory, or the container no log. */
function toLogPath(config: ContainerConfig__Output, sandbox: SandboxRecord): string {
	return sandbox.logDirectory === '' || config.log_path === '' ? '' : join(sandbox.logDirectory, config.log_path);
}

/** @throws {NotFoundError | WrongStateError | InvalidArgumentError} no such container, not running, or of another pod. */
function findTargetPid(runtime: Pick<Runtime, 'state'>, config: ContainerConfig__Output, sandbox: SandboxRecord): number | null {
	const options = config.linux?.security_context?.namespace_options ?? null;
	if (options?.pid !== NamespaceMode.TARGET) return null;
	const target = runtime.state.findContainer(options.target_id);
	if (target.sandboxId !== sandbox.id)
		throw new InvalidArgumentError(`namespace_options.target_id: container "${target.id}" is of another pod sandbox`, {field: 'namespace_options.target_id'});
	assertRunning(target);
	if (target.pid === 0) throw new WrongStateError('container', target.id, 'exited', 'running');
	return target.pid;
}
