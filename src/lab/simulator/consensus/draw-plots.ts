/**
 * Troubles that only matter in an order: each plot sets up a state that single ones, drawn apart, seldom reach. When each of its parts
 * comes, and to whom, is drawn all the same; what was to be may not come to be.
 */
import { unreachable } from '../../../core/base/assert.ts';
import type { EngineTiming } from '../../../core/consensus/engine.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import { calm } from './group-network.ts';
import { type Happening, memberChanges } from './plan.ts';

export interface PlotBounds {
  readonly stormMs: number;
  readonly timing: EngineTiming;
  readonly clients: number;
  readonly churns: boolean;
}

const plots = ['overtakenSnapshot', 'usurpation', 'lastWords', 'halfChange'] as const;
type Plot = (typeof plots)[number];

/** One kind of plot a few times, in some of the seeds. */
export function drawPlots(random: SimRandom, bounds: PlotBounds): readonly Happening[] {
  if (random.chance(0.4)) return [];
  const plot = random.pick(bounds.churns ? plots : plots.slice(0, -1));
  const everyMs = random.pick([6, 12, 24]) * bounds.timing.electionTimeoutMaxMs;
  const happenings: Happening[] = [];
  for (let atMs = random.next() * everyMs; atMs < bounds.stormMs; atMs += everyMs * (0.5 + random.next()))
    happenings.push(...draw(plot, random, bounds, atMs));
  if (plot === 'lastWords') happenings.push(...drawLastWords(random, bounds, bounds.stormMs - 5 * random.next()));
  return happenings.filter(({ atMs }) => atMs < bounds.stormMs);
}

function draw(plot: Plot, random: SimRandom, bounds: PlotBounds, atMs: number): readonly Happening[] {
  switch (plot) {
    case 'overtakenSnapshot':
      return drawOvertakenSnapshot(random, bounds, atMs);
    case 'usurpation':
      return drawUsurpation(random, bounds, atMs);
    case 'lastWords':
      return drawLastWords(random, bounds, atMs);
    case 'halfChange':
      return drawHalfChange(random, bounds, atMs);
    default:
      return unreachable(plot);
  }
}

function leader(random: SimRandom) {
  return { leader: true, pick: random.next() };
}

/**
 * A node is behind what the leader still has; the leader dies when it has begun to send its state; whoever follows it has the entries, and
 * sends them while the state is being installed. The node's disk is slow, so that nothing is committed meanwhile.
 */
function drawOvertakenSnapshot(random: SimRandom, { timing, clients }: PlotBounds, atMs: number): readonly Happening[] {
  const { electionTimeoutMaxMs: patienceMs } = timing;
  const target = { leader: false, pick: random.next() * 0.9 };
  const downMs = patienceMs * (0.5 + 2 * random.next());
  const backMs = atMs + downMs;
  // whoever is next must not know how much of it is committed: calls are under way at any time
  const calls = Array.from({ length: 8 }, () => {
    const burstMs = backMs + 1.2 * random.next() * timing.heartbeatIntervalMs;
    return { kind: 'burst', atMs: burstMs, client: random.between(1, clients), calls: 4 } as const;
  });
  return [
    ...calls,
    { kind: 'crash', atMs, target, downMs, keep: random.pick([0, 1]) },
    { kind: 'flush', atMs: backMs - 1, target: leader(random), keep: random.pick([0, 0, 1]) },
    {
      kind: 'trap',
      atMs: backMs - 1,
      target: undefined,
      moment: 'streaming',
      skip: 0,
      downMs: 4 * patienceMs,
      keep: 1,
    },
    { kind: 'slowDisk', atMs: backMs, target, forMs: 3 * patienceMs, writeMs: patienceMs * (0.3 + random.next()) },
  ];
}

/** A leader that is cut off has entries of its own where its successor commits others, and lets go of them before the old one is back. */
function drawUsurpation(random: SimRandom, { timing, clients }: PlotBounds, atMs: number): readonly Happening[] {
  const forMs = timing.electionTimeoutMaxMs * (1 + 2 * random.next());
  const cutMs = atMs + 1.5 * random.next();
  const backMs = cutMs + forMs;
  const target = leader(random);
  const shape = random.pick(['isolate', 'isolate', 'mute'] as const);
  return [
    { kind: 'burst', atMs, client: random.between(1, clients), calls: 10 },
    { kind: 'partition', atMs: cutMs, shape, target, pick: random.next(), forMs },
    { kind: 'flush', atMs: backMs - 10 * random.next(), target: leader(random), keep: 0 },
    { kind: 'flush', atMs: backMs - 0.1, target: leader(random), keep: 0 },
  ];
}

/** Of what a leader says last some is lost and some is not; then it is gone for long. */
function drawLastWords(random: SimRandom, { timing, clients }: PlotBounds, atMs: number): readonly Happening[] {
  const weather = { ...calm, loss: 0.3 + 0.5 * random.next() };
  const badMs = atMs + 0.3 + 0.5 * random.next();
  const forMs = random.pick([1, 2, 5]);
  const downMs = timing.electionTimeoutMaxMs * random.pick([1, 4, 16]);
  return [
    { kind: 'burst', atMs, client: random.between(1, clients), calls: 10 },
    { kind: 'weather', atMs: badMs, forMs, weather },
    { kind: 'crash', atMs: badMs + forMs * random.next(), target: leader(random), downMs, keep: random.next() },
  ];
}

/** In the middle of a change of members states are made durable, logs made shorter, and nodes die. */
function drawHalfChange(random: SimRandom, { timing }: PlotBounds, atMs: number): readonly Happening[] {
  const withinMs = random.pick([2, 5, 20]);
  const soonMs = () => atMs + withinMs * random.next();
  const someone = () => ({ leader: random.chance(0.5), pick: random.next() });
  const downMs = timing.electionTimeoutMaxMs * random.pick([0.1, 1, 4]);
  return [
    { kind: 'members', atMs, change: random.pick(memberChanges), pick: random.next() },
    ...Array.from({ length: 4 }, () => ({ kind: 'flush', atMs: soonMs(), target: someone(), keep: 0 }) as const),
    { kind: 'crash', atMs: soonMs(), target: someone(), downMs, keep: random.pick([0, 1]) },
  ];
}
