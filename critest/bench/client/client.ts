import {spawn} from 'node:child_process';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {loadCri} from '../../../proto/loader.js';
import type {CreateContainerRequest} from '../../../proto/cri.js';
import {PROJECT_DIR} from '../../fixtures/images.js';

/** Starts containers of one request, one at a time, by a client of its own process: grpc-go and the CRI's Go types, as the kubelet's. */
export interface StartClient extends AsyncDisposable {
	/** CreateContainer and StartContainer; the container is removed again, which is not measured. @returns milliseconds from the client's side. */
	start(): Promise<number>;
}

export function openStartClient(socket: string, request: CreateContainerRequest): StartClient {
	const bytes = loadCri().RuntimeService.service.CreateContainer.requestSerialize(request as never);
	const child = spawn(join(PROJECT_DIR, '.cache/tools/bench-client'), [socket], {stdio: ['pipe', 'pipe', 'inherit']});
	const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
	child.stdin.write(`${bytes.toString('base64')}\n`);
	return {
		start: async () => {
			child.stdin.write('\n');
			const {value} = (await lines.next()) as {readonly value?: string};
			if (!/^\d+$/.test(value ?? '')) throw new Error("the bench's client has ended");
			return Number(value) / 1000;
		},
		[Symbol.asyncDispose]: async () => {
			const ended = new Promise(resolve => child.once('close', resolve));
			child.stdin.end();
			await ended;
		},
	};
}
