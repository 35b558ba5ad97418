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

/** Of a file that others append to meanwhile: what was acknowledged before is in it, what is begun afterwards is not. */
export function takeLogSnapshot({ random, ledger, id }: StepMaker): Step {
  const log = random.pick(ledger.logs.filter(({ mode }) => mode === 'strong'));
  const to = `/shared/copy-${id}-${ledger.nextCopy()}`;
  return {
    what: `take a snapshot of ${log.path} as ${to}`,
    run: async (client) => {
      const before = log.acknowledgedCount;
      await client.fileSnapshot(log.path, to);
      ledger.copies.push({ path: to, log, acknowledgedBefore: before, begunBefore: log.begunCount });
    },
    unknown: () => {},
  };
}
