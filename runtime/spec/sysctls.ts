import {InvalidArgumentError} from '../../base/errors.js';

/** IPC namespaces have their own of these (ipc_namespaces(7)). */
const IPC = /^(kernel\.(shm[a-z_]*|msg[a-z_]*|sem|auto_msgmni)|fs\.mqueue\.[a-z_]+)$/;
const NET = /^net\.[\w.\-/]+$/;

/**
 * Sysctls of a pod: only those that the pod has its own of, for all others would change the host.
 *
 * @returns names with dots.
 * @throws {InvalidArgumentError} a name of no namespace, or of one that the pod shares with the host.
 * @see api.proto, LinuxPodSandboxConfig.sysctls.
 */
export function toSysctls(sysctls: Readonly<Record<string, string>>, own: {readonly network: boolean; readonly ipc: boolean}): (readonly [string, string])[] {
	return Object.entries(sysctls).map(([written, value]) => {
		const name = toDotted(written);
		const refuse = (rule: string): never => {
			throw new InvalidArgumentError(`sysctls: "${written}" ${rule}`, {field: 'sysctls'});
		};
		if (name.split(/[./]/).includes('') || value.includes('\0')) refuse('is malformed');
		if (NET.test(name)) {
			if (!own.network) refuse("needs the pod's own network namespace");
		} else if (IPC.test(name)) {
			if (!own.ipc) refuse("needs the pod's own IPC namespace");
		} else refuse('is not namespaced: it would change the host');
		return [name, value] as const;
	});
}

/** sysctl(8): "net/ipv4/conf/eth0.1/x" has slashes between its parts; then a dot belongs to a part, and in the dotted form it is a slash. */
function toDotted(name: string): string {
	const first = /[./]/.exec(name)?.[0];
	return first === '/' ? name.replaceAll(/[./]/g, sign => (sign === '/' ? '.' : '/')) : name;
}
