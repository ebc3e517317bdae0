import {release} from 'node:os';
import {mkdir, rm} from 'node:fs/promises';
import type {Server} from '@grpc/grpc-js';
import type {Logger} from '../base/log.js';
import {systemClock} from '../base/clock.js';
import {Rollback} from '../base/rollback.js';
import {openCni} from '../cni/network.js';
import type {ProxyOptions} from '../image/image.js';
import {openImageStore} from '../image/image-store.js';
import type {Kernel} from '../native/native.js';
import {openNative} from '../native/open-native.js';
import {openRuntime, readBootId} from '../runtime/open-runtime.js';
import type {Daemon} from './call.js';
import type {Config} from './config-schema.js';
import {takeDaemonLock} from './daemon-lock.js';
import {openCrioSocket} from './crio/listen.js';
import type {SharedSocket} from './crio/shared-socket.js';
import {createGrpcServer, shutDown} from './grpc-server.js';
import {assertHost} from './host.js';
import {openMetricsEndpoint} from './metrics-endpoint.js';
import {loadShim} from '../proto/loader.js';
import {launcherBinaryPath, toCniOptions, toImageOptions, toRuntimeOptions, toStreamingOptions} from './options.js';
import {bindSocket} from './socket.js';
import {openStreamingServer} from './streaming/server.js';
import {readVersion} from './version.js';

/** Calls in flight get this long when the daemon ends. systemd waits longer (berth.service, TimeoutStopSec). */
const SHUTDOWN_GRACE_MS = 5000;

/** What the environment says. */
export interface Environment {
	/** $NOTIFY_SOCKET of systemd; null = none. */
	readonly notifySocket: string | null;
	readonly proxy: ProxyOptions;
}

/** A running daemon. */
export interface Serving {
	/** Ends the daemon; the pods go on. Idempotent. */
	close(): Promise<void>;
}

/**
 * Builds everything, in order, and serves. What was opened before a failing step is closed again.
 *
 * @throws what keeps the daemon from starting, in words for the operator.
 */
export async function serve(config: Config, log: Logger, {notifySocket, proxy}: Environment): Promise<Serving> {
	assertHost({platform: process.platform, kernelRelease: release(), effectiveUid: process.geteuid?.() ?? -1});
	const startMs = systemClock.monotonicMs();
	const closing = new Rollback();
	try {
		const daemon = await openDaemon(config, {proxy, log, closing});
		const server = createGrpcServer(daemon);
		const shared = config.identity === 'cri-o' ? await openCrioSocket({runtime: daemon.runtime, grpc: server, clock: systemClock, log}, config.socket) : null;
		await bindSocket(shared?.server ?? server, config.socket);
		closing.add('close the CRI socket', () => closeServer(server, shared, config.socket));
		// They would keep the server open for as long as it waits for calls in flight.
		closing.add('end the event streams', async () => daemon.runtime.events.close());
		const notify = notifier(daemon.runtime.kernel, notifySocket, log);
		await notify('READY=1');
		closing.add('tell systemd', () => notify('STOPPING=1'));
		log.info({...daemon.facts, ms: Math.round(systemClock.monotonicMs() - startMs)}, 'berth serves');
	} catch (error) {
		await closeAll(closing, log);
		throw error;
	}
	return {close: () => closeAll(closing, log)};
}

interface Opening {
	readonly proxy: ProxyOptions;
	readonly log: Logger;
	readonly closing: Rollback;
}

async function openDaemon(config: Config, {proxy, log, closing}: Opening): Promise<Daemon> {
	const bootId = await readBootId();
	for (const directory of [config.run_dir, config.netns_dir]) await mkdir(directory, {recursive: true, mode: 0o755});
	const native = openNative();
	for (const directory of new Set([config.root_dir, config.run_dir])) {
		const lock = await takeDaemonLock(native.kernel, directory);
		closing.add(`unlock ${directory}`, async () => lock.release());
	}
	const images = await openImageStore(toImageOptions(config, process.arch, proxy), native.kernel, log.child({room: 'image'}));
	closing.add('close the image store', () => images.close());
	const cni = await openCni(toCniOptions(config), native.kernel, log.child({room: 'cni'}));
	closing.add('close the pod network', () => cni.close());
	const opened = await openRuntime(toRuntimeOptions(config, bootId), {
		native,
		images,
		cni,
		clock: systemClock,
		log: log.child({room: 'runtime'}),
		launcherBinaryPath: launcherBinaryPath(),
		loadShimWire: loadShim,
		launcherOomScoreAdj: config.runtime.launcher_oom_score_adj,
	});
	closing.add('close the runtime', () => opened.close());
	const streaming = await openStreamingServer(toStreamingOptions(config), log.child({room: 'streaming'}));
	closing.add('close the streaming server', () => streaming.close());
	const metrics = await openMetricsEndpoint(config.metrics, images, log);
	closing.add('close the metrics endpoint', () => metrics.close());
	const facts = {version: await readVersion(), nodeVersion: process.version, kernelRelease: release(), socketPath: config.socket};
	return {runtime: opened.runtime, streaming, log, facts};
}

async function closeServer(server: Server, shared: SharedSocket | null, socketPath: string): Promise<void> {
	shared?.close();
	await shutDown(server, SHUTDOWN_GRACE_MS, systemClock.sleep);
	await rm(socketPath, {force: true});
}

/** Newest first, and all of them. */
async function closeAll(closing: Rollback, log: Logger): Promise<void> {
	for (const error of await closing.undo()) log.error({err: error}, 'not closed cleanly');
}

/** sd_notify(3). A deaf systemd keeps nothing from running. */
function notifier(kernel: Kernel, socketPath: string | null, log: Logger): (state: string) => Promise<void> {
	return async state => {
		if (socketPath === null) return;
		try {
			await kernel.notifySystemd(socketPath, state);
		} catch (error) {
			log.warn({err: error, state}, 'systemd not notified');
		}
	};
}
