/** A runtime handler under which the tests of the fields run. */
export interface FieldHandler {
	readonly name: string;
	/** RunPodSandboxRequest.runtime_handler. */
	readonly runtimeHandler: string;
	/** Tests whose matter it cannot do, by their title, and why. */
	readonly cannot: Readonly<Record<string, string>>;
}

export const HANDLERS: readonly FieldHandler[] = [{name: 'native', runtimeHandler: '', cannot: {}}];
