import {UnavailableError} from '../base/errors.js';
import {Admission} from './admission.js';
import {attach} from './attach.js';
import {AttachCache} from './cache.js';
import type {Chain} from './chain.js';
import type {OpenCni} from './cni.js';
import {ConfDir} from './conf-dir.js';
import {detach} from './detach.js';
import {toStatus} from './status.js';

/** Opens pod networking: reads the conf dir and begins to watch it. A missing directory or broken files are no error here: status() tells. */
export const openCni: OpenCni = async (options, kernel, log) => {
	const chain: Chain = {
		host: {kernel, binDirs: options.binDirs, timeoutMs: options.timeoutMs},
		cache: await AttachCache.open(options.cacheDir),
		admission: new Admission(options.maxConcurrent),
		log,
	};
	const confDir = await ConfDir.open(options, log);
	const status = (): ReturnType<typeof toStatus> => toStatus(confDir.facts, options.confDir);
	return {
		status,
		async attach(attachment, signal) {
			const {network} = confDir.facts;
			if (network === null) throw new UnavailableError(`pod network is not ready: ${status().message}`);
			return await attach(chain, network, attachment, signal);
		},
		detach: async attachment => await detach(chain, confDir.facts.network, attachment),
		close: async () => await confDir.close(),
	};
};
