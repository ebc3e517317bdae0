/**
 * Remembers what was made from an immutable record for as long as the record lives: a List makes only what changed.
 * The results are shared, so nobody may change them.
 */
export function perRecord<R extends object, T>(make: (record: R) => T): (record: R) => T {
	const made = new WeakMap<R, T>();
	return record => {
		let result = made.get(record);
		if (result === undefined) {
			result = make(record);
			made.set(record, result);
		}
		return result;
	};
}
