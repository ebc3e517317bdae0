import {readdir} from 'node:fs/promises';

/**
 * The machine's page sizes as the names of the hugetlb controller's files have them: "2MB", "1GB" (hugetlb.rst).
 *
 * @param directory of the kernel: its entries are "hugepages-2048kB".
 */
export async function findHugepageSizes(directory = '/sys/kernel/mm/hugepages'): Promise<readonly string[]> {
	try {
		return (await readdir(directory)).flatMap(name => toPageSize(name)).toSorted();
	} catch (error) {
		// A kernel without hugetlb.
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

const MIB_KIB = 1024;
const GIB_KIB = 1024 * 1024;

function toPageSize(name: string): readonly string[] {
	const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
	if (kib === 0) return [];
	if (kib % GIB_KIB === 0) return [`${kib / GIB_KIB}GB`];
	return [kib % MIB_KIB === 0 ? `${kib / MIB_KIB}MB` : `${kib}KB`];
}
