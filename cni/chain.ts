import type {Logger} from '../base/log.js';
import type {Admission} from './admission.js';
import type {AttachCache} from './cache.js';
import type {PluginHost} from './exec.js';

/** What every verb works with. */
export interface Chain {
	readonly host: PluginHost;
	readonly cache: AttachCache;
	readonly admission: Admission;
	readonly log: Logger;
}
