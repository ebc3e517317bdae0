import {InvalidArgumentError} from '../../base/errors.js';
import type {ResourceFacts} from '../sandbox/record.js';

/**
 * Limits by the kernel's name of the page size ("2MB").
 *
 * @throws {InvalidArgumentError} a page size that is not a number and KB, MB or GB; a negative limit.
 * @see hugetlb.rst; api.proto, HugepageLimit.
 */
export function toHugepageLimits(limits: ResourceFacts['hugepageLimits']): readonly {readonly pageSize: string; readonly limitBytes: bigint}[] {
	for (const {pageSize, limitBytes} of limits) {
		if (!/^[1-9]\d*[KMG]B$/.test(pageSize))
			throw new InvalidArgumentError(`hugepage_limits: page_size "${pageSize}" is not a size like 2MB`, {field: 'hugepage_limits'});
		if (limitBytes < 0n) throw new InvalidArgumentError(`hugepage_limits: limit ${limitBytes} of ${pageSize} is negative`, {field: 'hugepage_limits'});
	}
	return limits;
}
