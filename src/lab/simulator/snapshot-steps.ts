/** File snapshots that clients take of what is their own, in the midst of everything else: each equals its source at one moment, for ever. */
import type { Step, StepMaker } from './step.ts';

/** The copy is an item like any other from then on: it is read, written, renamed and removed, and so is its source. */
export function takeFileSnapshot({ random, tree }: StepMaker): Step | undefined {
  const from = tree.pickItem(random);
  if (from === undefined || !tree.isCertain(from)) return undefined;
  const to = tree.freshPath(random);
  if (to.startsWith(`${from}/`)) return undefined;
  return {
    what: `take a snapshot of ${from} as ${to}`,
    run: async (client) => {
      await client.fileSnapshot(from, to);
      tree.copy(from, to);
    },
    unknown: () => tree.doubt(to),
  };
}
