import {loadPackageDefinition, type GrpcObject} from '@grpc/grpc-js';
import {loadSync} from '@grpc/proto-loader';
import {fileURLToPath} from 'node:url';
import type {ProtoGrpcType as AdminTypes} from './gen/admin.js';
import type {ProtoGrpcType as CriTypes} from './gen/api.js';
import type {ProtoGrpcType as ShimTypes} from './gen/shim.js';
import type {ShimWire} from './shim.js';

/**
 * The options every .proto of the project is loaded with; proto/generate.sh uses the same ones for the types.
 * 64-bit integers are strings: as numbers they would corrupt nanoseconds.
 */
export const LOADER_OPTIONS = {keepCase: true, longs: String, enums: Number, defaults: true, oneofs: true} as const;

/** The CRI's two services, as @grpc/grpc-js wants them for servers and clients. Reads api.proto once, at start. */
export function loadCri(): CriTypes['runtime']['v1'] {
	return (load('api.proto') as unknown as CriTypes).runtime.v1;
}

/** berth's own service for its command line. */
export function loadAdmin(): AdminTypes['berth']['admin']['v1'] {
	return (load('admin.proto') as unknown as AdminTypes).berth.admin.v1;
}

/** The messages of containerd's shim protocol. */
export function loadShim(): ShimWire {
	const {Transport, Command, Options, Task, Events} = (load('shim.proto') as unknown as ShimTypes).berth.shim.v1;
	return {transport: Transport.service, command: Command.service, options: Options.service, task: Task.service, events: Events.service};
}

function load(name: string): GrpcObject {
	// build/proto/loader.js → proto/
	const path = fileURLToPath(new URL(`../../proto/${name}`, import.meta.url));
	return loadPackageDefinition(loadSync(path, LOADER_OPTIONS));
}
