/** A spec as ginkgo's JSON report has it (ginkgo v2, types.SpecReport); only what is read here. */
interface SpecReport {
	readonly LeafNodeType: string;
	readonly ContainerHierarchyTexts: readonly string[] | null;
	readonly LeafNodeText: string;
	readonly State: string;
	readonly RunTime: number;
	readonly Failure?: {readonly Message?: string};
}
export interface Outcome {
	readonly name: string;
	/** '' for a spec that passed. */
	readonly reason: string;
}
export interface Outcomes {
	readonly passed: readonly Outcome[];
	readonly failed: readonly Outcome[];
	/** Those that began and skipped themselves; what a filter left out is not counted at all. */
	readonly skipped: readonly Outcome[];
}

/** @throws when the text is not a report. */
export function toOutcomes(reportJson: string): Outcomes {
	const suites = JSON.parse(reportJson) as readonly {readonly SpecReports: readonly SpecReport[] | null}[];
	const passed: Outcome[] = [];
	const failed: Outcome[] = [];
	const skipped: Outcome[] = [];
	for (const spec of suites.flatMap(suite => suite.SpecReports ?? [])) {
		const reason = spec.Failure?.Message ?? '';
		const outcome = {name: toName(spec), reason};
		if (spec.State === 'passed') {
			// The suite's own set-up nodes are no specs.
			if (spec.LeafNodeType === 'It') passed.push(outcome);
		} else if (spec.State !== 'skipped' && spec.State !== 'pending') failed.push(outcome);
		else if (reason !== '') skipped.push(outcome);
	}
	return {passed, failed, skipped};
}

function toName(spec: SpecReport): string {
	return [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].filter(text => text !== '').join(' › ') || spec.LeafNodeType;
}
