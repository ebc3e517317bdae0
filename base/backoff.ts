/** Delays that double from `firstMs` up to `maxMs`, each lessened by up to half at random so that retries of many callers spread out. */
export function* backoff(firstMs: number, maxMs: number, random: () => number = Math.random): Generator<number, never> {
	for (let delayMs = firstMs; ; delayMs = Math.min(delayMs * 2, maxMs)) yield delayMs * (1 - random() / 2);
}
