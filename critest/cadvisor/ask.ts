import {once} from 'node:events';
import {access, readlink} from 'node:fs/promises';
import {request} from 'node:http';
import {join} from 'node:path';
import {isPureV2} from '../rig/cgroup-files.js';

/** GET over the CRI socket, as cAdvisor's handler of CRI-O does it. */
export async function ask(socketPath: string, path: string): Promise<{readonly code: number; readonly body: string}> {
	const asked = request({socketPath, path, headers: {Host: 'crio'}, agent: false});
	asked.end();
	const [response] = await once(asked, 'response');
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
	return {code: response.statusCode as number, body: Buffer.concat(chunks).toString()};
}

/** What cAdvisor reads of the answer about a container. */
export interface Inspected {
	readonly name: string;
	readonly pid: number;
	readonly image: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	readonly log_path: string;
	readonly root: string;
	readonly ip_addresses: readonly string[];
}

/** @throws unless the answer is 200. */
export async function inspect(socketPath: string, id: string): Promise<Inspected> {
	const {code, body} = await ask(socketPath, `/containers/${id}`);
	if (code !== 200) throw new Error(`${code}: ${body}`);
	return JSON.parse(body) as Inspected;
}

/** Whether a cgroup is there: in the hierarchy that cAdvisor watches for it. @param cgroupPath below each hierarchy's root. */
export async function hasCgroup(cgroupPath: string, controller = 'devices'): Promise<boolean> {
	const dir = join('/sys/fs/cgroup', (await isPureV2()) ? '' : controller, cgroupPath);
	return await access(dir).then(
		() => true,
		() => false,
	);
}

/** Says the same for all processes of a network namespace. */
export async function networkOf(pid: number): Promise<string> {
	return await readlink(`/proc/${pid}/ns/net`);
}
