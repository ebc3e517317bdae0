/** A number of places, taken without waiting: who finds none does without. */
export class Slots {
	#free: number;

	constructor(count: number) {
		this.#free = count;
	}

	get free(): number {
		return this.#free;
	}

	tryTake(): boolean {
		if (this.#free === 0) return false;
		this.#free--;
		return true;
	}

	giveBack(): void {
		this.#free++;
	}
}
