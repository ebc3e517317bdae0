/** Types of containerd's shim protocol (shim.proto). X is what may be sent, X__Output what is received. */
import type {CommandDefinition} from './gen/berth/shim/v1/Command.js';
import type {EventsDefinition} from './gen/berth/shim/v1/Events.js';
import type {OptionsDefinition} from './gen/berth/shim/v1/Options.js';
import type {TaskDefinition} from './gen/berth/shim/v1/Task.js';
import type {TransportDefinition} from './gen/berth/shim/v1/Transport.js';

export type {Any, Any__Output} from './gen/berth/shim/v1/Any.js';
export type {BootstrapResult__Output} from './gen/berth/shim/v1/BootstrapResult.js';
export type {CreateTaskRequest} from './gen/berth/shim/v1/CreateTaskRequest.js';
export type {ExecProcessRequest} from './gen/berth/shim/v1/ExecProcessRequest.js';
export type {Mount} from './gen/berth/shim/v1/Mount.js';
export type {StateResponse__Output} from './gen/berth/shim/v1/StateResponse.js';
export type {Timestamp__Output} from './gen/berth/shim/v1/Timestamp.js';

/** (De)serializers of every message that crosses a shim's sockets and pipes. */
export interface ShimWire {
	readonly transport: TransportDefinition;
	readonly command: CommandDefinition;
	readonly options: OptionsDefinition;
	readonly task: TaskDefinition;
	readonly events: EventsDefinition;
}
