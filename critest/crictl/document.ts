import {join} from 'node:path';
import {PROJECT_DIR} from '../fixtures/images.js';

export const DOCUMENT = join(PROJECT_DIR, 'docs/crictl.md');

/** @returns the text of docs/crictl.md for a transcript. */
export function toDocument(transcript: string): string {
	return `# crictl

What crictl v1.36.0 shows of a node with berth: recorded by \`make crictl-transcript\` and compared by critest/crictl/crictl.root.test.ts with each run.
Ids, times, addresses and sizes have stand-ins in angle brackets, columns are pushed together, and the flags that name berth's socket are left out.

\`\`\`console
${transcript}\`\`\`
`;
}
