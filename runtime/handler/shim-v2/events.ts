import {join} from 'node:path';
import type {ShimWire} from '../../../proto/shim.js';
import {TtrpcServer} from './ttrpc-server.js';

/** Facts that shims tell and that nothing else does. */
export interface ShimListener {
	/** The kernel killed a process of the task for want of memory; its exit follows. */
	onOom(taskId: string): void;
}

/** Of containerd.services.events.ttrpc.v1. */
const FORWARD = 'containerd.services.events.ttrpc.v1.Events/Forward';
const OOM = '/tasks/oom';

export function shimEventsPath(runDir: string): string {
	return join(runDir, 'shim-events.sock');
}

/**
 * Takes the events that shims publish. They connect to it before they serve anything, and again after the daemon's restart; what they
 * could not deliver is lost, so nothing but what is told here hangs on it: exits are waited for.
 */
export async function serveShimEvents(runDir: string, wire: ShimWire, listener: ShimListener): Promise<TtrpcServer> {
	const forward = (payload: Buffer): Buffer => {
		const {envelope} = wire.events.Forward.requestDeserialize(payload);
		if (envelope?.topic === OOM && envelope.event !== null) listener.onOom(wire.events.TaskOom.requestDeserialize(envelope.event.value).container_id);
		return wire.events.Forward.responseSerialize({});
	};
	return await TtrpcServer.listen(shimEventsPath(runDir), new Map([[FORWARD, forward]]), wire);
}
