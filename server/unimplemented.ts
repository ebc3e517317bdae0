import type {handleServerStreamingCall, handleUnaryCall} from '@grpc/grpc-js';
import {UnimplementedError} from '../base/errors.js';
import type {Daemon} from './call.js';
import {wrap, wrapStream} from './grpc.js';

/** For a call of the CRI that this version does not do: says so by name, so that a client can fall back. */
export function unimplemented<Request, Response>(name: string, daemon: Daemon): handleUnaryCall<Request, Response> {
	return wrap(name, 'reads', daemon, async () => {
		throw toError(name);
	});
}

export function unimplementedStream<Request, Response>(name: string, daemon: Daemon): handleServerStreamingCall<Request, Response> {
	return wrapStream<Request, Response>(name, 'reads', daemon, () => ({
		[Symbol.asyncIterator]: () => ({next: () => Promise.reject(toError(name))}),
	}));
}

/** Of the calls that freeze a container to disk and bring it back: the words go to whoever runs `crictl checkpoint` or asks the kubelet for one. */
export function noCheckpoints<Request, Response>(name: string, daemon: Daemon): handleUnaryCall<Request, Response> {
	return wrap(name, 'reads', daemon, async () => {
		throw new UnimplementedError(`${name}: berth does not checkpoint or restore containers; nothing was changed`, {rpc: name});
	});
}

function toError(name: string): UnimplementedError {
	return new UnimplementedError(`${name} is not implemented by this version of berth`, {rpc: name});
}
