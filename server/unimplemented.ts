import type {handleUnaryCall} from '@grpc/grpc-js';
import {UnimplementedError} from '../base/errors.js';
import type {Daemon} from './call.js';
import {wrap} from './grpc.js';

/** Of the calls that freeze a container to disk and bring it back: the words go to whoever runs `crictl checkpoint` or asks the kubelet for one. */
export function noCheckpoints<Request, Response>(name: string, daemon: Daemon): handleUnaryCall<Request, Response> {
	return wrap(name, 'reads', daemon, async () => {
		throw new UnimplementedError(`${name}: berth does not checkpoint or restore containers; nothing was changed`, {rpc: name});
	});
}
