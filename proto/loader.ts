import {loadPackageDefinition, type GrpcObject} from '@grpc/grpc-js';
import {loadSync} from '@grpc/proto-loader';
import {fileURLToPath} from 'node:url';
import type {ProtoGrpcType} from './gen/api.js';

/**
 * The options every .proto of the project is loaded with; proto/generate.sh uses the same ones for the types.
 * 64-bit integers are strings: as numbers they would corrupt nanoseconds.
 */
export const LOADER_OPTIONS = {keepCase: true, longs: String, enums: Number, defaults: true, oneofs: true} as const;

/** The CRI's two services, as @grpc/grpc-js wants them for servers and clients. Reads api.proto once, at start. */
export function loadCri(): ProtoGrpcType['runtime']['v1'] {
	// build/proto/loader.js → proto/api.proto
	const path = fileURLToPath(new URL('../../proto/api.proto', import.meta.url));
	const loaded: GrpcObject = loadPackageDefinition(loadSync(path, LOADER_OPTIONS));
	return (loaded as unknown as ProtoGrpcType).runtime.v1;
}
