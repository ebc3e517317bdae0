import {HANDLERS as NAMES, nameOf} from '../handlers/handlers.js';

/** A runtime handler under which the tests of the fields run. */
export interface FieldHandler {
	readonly name: string;
	/** RunPodSandboxRequest.runtime_handler. */
	readonly runtimeHandler: string;
	/** Tests whose matter it cannot do, by their title, and why. */
	readonly cannot: Readonly<Record<string, string>>;
}

const NO_USER_NAMESPACES = 'not announced: OCI runtimes of these versions join no user namespace of a pod over id-mapped layers';
const OCI = {
	'in a pod with a user namespace a volume is mapped as the pod, also what is mounted below, or its own way': NO_USER_NAMESPACES,
	"in a user namespace the image's files have the ids of the image": NO_USER_NAMESPACES,
	'clocks are ahead by the annotations of the pod or of the container, also for an exec':
		'refused: time namespaces came to the runtime spec with 1.1, later than what these runtimes take',
	'values of variables are bytes, whatever they mean': 'refused by name: the config of an OCI runtime is JSON, which holds UTF-8 only',
};
const CANNOT: Readonly<Record<string, Readonly<Record<string, string>>>> = {runc: OCI, crun: OCI};

/** $BERTH_FIELD_HANDLERS: names of those to run under, with commas between; unset: all. */
const wanted = process.env['BERTH_FIELD_HANDLERS']?.split(',') ?? null;

export const HANDLERS: readonly FieldHandler[] = NAMES.filter(name => wanted === null || wanted.includes(nameOf(name))).map(runtimeHandler => ({
	name: nameOf(runtimeHandler),
	runtimeHandler,
	cannot: CANNOT[runtimeHandler] ?? {},
}));
