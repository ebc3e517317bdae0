import {constants} from 'node:fs';
import {access, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CancelledError, FailedError, TimedOutError} from '../base/errors.js';
import type {Kernel, ProgramResult} from '../native/native.js';
import type {Attachment} from './cni.js';
import {isJsonObject, type JsonObject, type NetworkConfig, type PluginConfig} from './config.js';
import {excerpt, POD_INTERFACE} from './result.js';
import {runtimeConfigOf} from './runtime-config.js';

/** What runs plugins: shared by the verbs. */
export interface PluginHost {
	readonly kernel: Pick<Kernel, 'runProgram'>;
	readonly binDirs: readonly string[];
	readonly timeoutMs: number;
}

export interface PluginCall {
	readonly command: 'ADD' | 'DEL';
	readonly network: NetworkConfig;
	readonly plugin: PluginConfig;
	readonly attachment: Attachment;
	/** '' when the namespace is gone (DEL only). */
	readonly netnsPath: string;
	/** Of the plugin before (ADD) or of the whole ADD (DEL). */
	readonly prevResult: JsonObject | null;
}

/** Plugins start iptables, ip and others by name; the daemon's own environment is not theirs. */
const PLUGIN_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Results are some hundred bytes; a plugin that prints without end is cut here. */
const MAX_OUTPUT_BYTES = 1 << 20;

/**
 * Runs one plugin once (CNI spec 1.1, section 2) and returns its standard output.
 *
 * @throws {FailedError} the plugin is missing, or its own error, with plugin, command and message.
 * @throws {TimedOutError} it ran longer than timeoutMs and was killed.
 * @throws {CancelledError} `signal` aborted; it was killed.
 */
export async function execPlugin(host: PluginHost, call: PluginCall, signal: AbortSignal | null): Promise<Uint8Array> {
	const {command, plugin} = call;
	const what = `CNI plugin "${plugin.type}" ${command}`;
	const details = {plugin: plugin.type, command, network: call.network.name};
	const path = await findPlugin(host.binDirs, plugin.type);
	let result: ProgramResult;
	if (isAborted(signal)) throw new CancelledError(`${what} cancelled by the client`, details);
	try {
		result = await host.kernel.runProgram(
			{path, args: [], env: toEnv(host, call), stdin: toStdin(call), cwd: null, timeoutMs: host.timeoutMs, maxOutputBytes: MAX_OUTPUT_BYTES},
			signal,
		);
	} catch (cause) {
		if (isAborted(signal)) throw new CancelledError(`${what} cancelled by the client`, details, {cause});
		throw new FailedError(`${what} could not be run: ${(cause as Error).message}`, {...details, path}, {cause});
	}
	if (result.timedOut) throw new TimedOutError(`${what} did not end within ${host.timeoutMs} ms and was killed`, {...details, timeoutMs: host.timeoutMs});
	// A plugin that ended well just before the abort has done its work: the caller's next step sees the signal.
	if (result.exitCode === 0) return result.stdout;
	if (isAborted(signal)) throw new CancelledError(`${what} cancelled by the client`, details);
	throw pluginError(what, details, result);
}

/**
 * The first executable file of that name in `binDirs`.
 *
 * @throws {FailedError} when there is none.
 */
export async function findPlugin(binDirs: readonly string[], type: string): Promise<string> {
	for (const dir of binDirs) {
		const path = join(dir, type);
		try {
			await access(path, constants.X_OK);
			if ((await stat(path)).isFile()) return path;
		} catch {
			// Not here; the next directory may have it.
		}
	}
	throw new FailedError(`CNI plugin "${type}" not found in ${binDirs.join(', ') || 'no directory: none is configured'}`, {plugin: type});
}

/** A function, because the compiler takes a property that was false once to stay false. */
function isAborted(signal: AbortSignal | null): boolean {
	return signal?.aborted === true;
}

/** CNI_ARGS in the form that the plugins of Kubernetes networks read. The values were checked by assertAttachment. */
function toEnv(host: PluginHost, {command, attachment, netnsPath}: PluginCall): readonly string[] {
	const args = [
		'IgnoreUnknown=1',
		`K8S_POD_NAMESPACE=${attachment.podNamespace}`,
		`K8S_POD_NAME=${attachment.podName}`,
		`K8S_POD_INFRA_CONTAINER_ID=${attachment.sandboxId}`,
		`K8S_POD_UID=${attachment.podUid}`,
	];
	return [
		`PATH=${PLUGIN_PATH}`,
		`CNI_COMMAND=${command}`,
		`CNI_CONTAINERID=${attachment.sandboxId}`,
		`CNI_NETNS=${netnsPath}`,
		`CNI_IFNAME=${POD_INTERFACE}`,
		`CNI_ARGS=${args.join(';')}`,
		`CNI_PATH=${host.binDirs.join(':')}`,
	];
}

/** The execution configuration: the plugin's own keys plus what the runtime adds (spec section 4, "Deriving execution configuration"). */
function toStdin({command, network, plugin, attachment, prevResult}: PluginCall): Uint8Array {
	const config: Record<string, unknown> = {...plugin, name: network.name, cniVersion: network.cniVersion};
	const runtimeConfig = runtimeConfigOf(plugin, attachment);
	if (Object.keys(runtimeConfig).length > 0) config['runtimeConfig'] = runtimeConfig;
	// DEL got its prevResult with 0.4.0.
	if (prevResult !== null && (command === 'ADD' || network.cniVersion !== '0.3.1')) config['prevResult'] = prevResult;
	return new TextEncoder().encode(JSON.stringify(config));
}

/** Spec section 5, "Error": {code, msg, details} on stdout. A plugin that printed something else is quoted. */
function pluginError(what: string, details: Readonly<Record<string, string>>, result: ProgramResult): FailedError {
	const stdout = new TextDecoder().decode(result.stdout);
	let error: unknown;
	try {
		error = JSON.parse(stdout);
	} catch {
		error = null;
	}
	if (!isJsonObject(error) || typeof error['msg'] !== 'string') {
		const stderr = new TextDecoder().decode(result.stderr);
		return new FailedError(`${what} exited with ${result.exitCode} and no error report: ${excerpt(stdout.trim() === '' ? stderr : stdout)}`, {
			...details,
			exitCode: result.exitCode,
		});
	}
	const {code, msg, details: more} = error;
	const text = typeof more === 'string' && more !== '' ? `${msg}: ${more}` : (msg as string);
	return new FailedError(`${what} failed: ${text} (code ${String(code)})`, {
		...details,
		exitCode: result.exitCode,
		...(typeof code === 'number' ? {pluginCode: code} : {}),
	});
}
