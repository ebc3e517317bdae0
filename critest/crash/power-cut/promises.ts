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
	/** removing: before the call, or before a layer of it is destroyed. removed: after the call's reply. */
	readonly kind: 'removing' | 'removed';
	readonly positionBytes: number;
	readonly imageId: string;
}

/** What must be after a cut. */
export interface Promises {
	readonly imageIds: ReadonlySet<string>;
	/** These must be absent. */
	readonly removedIds: ReadonlySet<string>;
	/** Reference → image id. */
	readonly tags: ReadonlyMap<string, string>;
}

/**
 * What the daemon had promised when the log had `positionBytes`: reported pulled by then, and no removal asked for, no other image pulled under the tag; or reported removed,
 * and no pull asked for. Of a pull whose end nobody heard of nothing is known until the next one is reported.
 */
export function promisesAt(marks: readonly Mark[], positionBytes: number): Promises {
	const imageIds = new Set<string>();
	const removedIds = new Set<string>();
	const unknownIds = new Set<string>();
	const tags = new Map<string, string>();
	for (const mark of marks) {
		const {imageId} = mark;
		const isReport = mark.kind === 'pulled' || mark.kind === 'removed';
		// A question counts only when something was written since it: that may be part of what was asked for.
		if (isReport ? mark.positionBytes > positionBytes : mark.positionBytes >= positionBytes) continue;
		if (mark.kind === 'asked') {
			unknownIds.add(imageId);
			removedIds.delete(imageId);
			if (tags.get(mark.reference) !== imageId) tags.delete(mark.reference);
		} else if (mark.kind === 'pulled') {
			unknownIds.delete(imageId);
			imageIds.add(imageId);
			tags.set(mark.reference, imageId);
		} else if (mark.kind === 'removing') {
			imageIds.delete(imageId);
			for (const [reference, id] of tags) if (id === imageId) tags.delete(reference);
		} else if (!unknownIds.has(imageId)) removedIds.add(imageId);
	}
	return {imageIds, removedIds, tags};
}
