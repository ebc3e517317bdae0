/** What was asked of the daemon and what it said, with the log's size then. In the order of time. */
export type Mark = PullMark | RemoveMark;
export interface PullMark {
	/** asked: before the call. pulled: after its reply. */
	readonly kind: 'asked' | 'pulled';
	readonly positionBytes: number;
	readonly reference: string;
	readonly imageId: string;
}
export interface RemoveMark {
	/** Before the call. */
	readonly kind: 'removing';
	readonly positionBytes: number;
	readonly imageId: string;
}

/** What must be there after a cut. */
export interface Promises {
	readonly imageIds: ReadonlySet<string>;
	/** Reference → image id. */
	readonly tags: ReadonlyMap<string, string>;
}

/** What the daemon had promised when the log had `positionBytes`: reported pulled by then, and no removal asked for, no other image pulled under the tag. */
export function promisesAt(marks: readonly Mark[], positionBytes: number): Promises {
	const imageIds = new Set<string>();
	const tags = new Map<string, string>();
	for (const mark of marks) {
		if (mark.kind === 'pulled') {
			if (mark.positionBytes > positionBytes) continue;
			imageIds.add(mark.imageId);
			tags.set(mark.reference, mark.imageId);
		} else if (mark.positionBytes < positionBytes) {
			// What was written since may be part of what was asked for.
			if (mark.kind === 'removing') {
				imageIds.delete(mark.imageId);
				for (const [reference, imageId] of tags) if (imageId === mark.imageId) tags.delete(reference);
			} else if (tags.get(mark.reference) !== mark.imageId) tags.delete(mark.reference);
		}
	}
	return {imageIds, tags};
}
