import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mutants } from './catalogue.ts';
import { tryMutant } from './trial.ts';
import { mutated, Workbench } from './workbench.ts';

const repository = fileURLToPath(new URL('../../..', import.meta.url));

describe('the catalogue of mutants', () => {
  it('names each once', () => {
    const ids = mutants.map(({ id }) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });

  it.each(mutants.map((mutant) => [mutant.id, mutant] as const))('%s fits the sources', (_, mutant) => {
    const sources = new Map(mutant.edits.map(({ file }) => [file, readFileSync(`${repository}/${file}`, 'utf8')]));
    for (const [file, source] of mutated(mutant, sources)) expect(source).not.toBe(sources.get(file));
  });
});

/** Of each kind one that is found within a second or two. `npm run mutants` tries them all. */
const quick = [
  'raft-half-is-a-majority',
  'raft-follower-acknowledges-unsynced',
  'lease-renewed-by-any-answer',
  'members-no-joint-phase',
  'client-retry-applied-twice',
  'paxos-promise-before-durable',
  'paxos-watermark-without-ballot',
];

describe('the simulator finds', () => {
  let bench: Workbench;
  beforeAll(async () => {
    bench = await Workbench.open(repository);
  }, 60_000);
  afterAll(() => bench.close());

  it.each(quick)(
    '%s',
    async (id) => {
      const mutant = mutants.find((known) => known.id === id)!;
      const { killedBy, seeds } = await tryMutant(bench, mutant, { seeds: 500, seconds: 60 });
      expect(killedBy).toBeDefined();
      expect(seeds).toBeLessThan(500);
    },
    120_000,
  );
});
