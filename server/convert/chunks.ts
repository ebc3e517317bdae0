/**
 * Records per message of a streamed list. With labels and annotations of some KiB that is a few hundred KB; even with the 256 KiB of annotations that
 * Kubernetes allows an object, a message stays below the kubelet's limit of 16 MiB.
 */
export const CHUNK_RECORDS = 50;

export function* chunks<T>(records: readonly T[]): Generator<readonly T[]> {
	for (let start = 0; start < records.length; start += CHUNK_RECORDS) yield records.slice(start, start + CHUNK_RECORDS);
}
