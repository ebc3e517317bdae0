/**
 * How many times slower than usual the machine is that tests run on: BERTH_TEST_PATIENCE, 1 when it is not set. An emulated machine starts programs twenty times
 * slower (critest/vm sets it there). Tests, and nothing else, multiply by it what they give up after.
 */
const PATIENCE = Number(process.env['BERTH_TEST_PATIENCE'] ?? 1);
if (!(PATIENCE >= 1)) throw new Error(`BERTH_TEST_PATIENCE=${process.env['BERTH_TEST_PATIENCE']}: a number of at least 1 is needed`);

export function patientMs(ms: number): number {
	return Math.round(ms * PATIENCE);
}
