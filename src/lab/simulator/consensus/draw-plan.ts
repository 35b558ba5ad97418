/**
 * Draws a plan from a seed. Each seed decides first which kinds of trouble there are at all and how often: runs that differ in kind reach
 * states that one average run would not ("swarm testing").
 */
import { defaultTiming, type EngineName, type EngineTiming, type LeaseTerms } from '../../../core/consensus/engine.ts';
import { SimRandom } from '../../../platform/sim/random.ts';
import { drawPlots } from './draw-plots.ts';
import { addRarities } from './draw-rarities.ts';
import { calm, type Weather } from './group-network.ts';
import { moments } from './group-world.ts';
import {
  fates,
  type GroupPlan,
  type Happening,
  type HappeningKind,
  memberChanges,
  partitionShapes,
  type Target,
} from './plan.ts';

export interface PlanOptions {
  readonly engine: EngineName;
  readonly members?: number | undefined;
  readonly elector?: GroupPlan['elector'] | undefined;
}

/** How elections are timed: as in production, slow, or so that messages take as long as it takes to lose patience. */
const timings: readonly EngineTiming[] = [
  defaultTiming,
  { electionTimeoutMinMs: 400, electionTimeoutMaxMs: 800, heartbeatIntervalMs: 100 },
  { electionTimeoutMinMs: 30, electionTimeoutMaxMs: 50, heartbeatIntervalMs: 10 },
];

export function drawPlan(seed: number, options: PlanOptions): GroupPlan {
  return addRarities(drawUsual(seed, options));
}

function drawUsual(seed: number, options: PlanOptions): GroupPlan {
  const random = SimRandom.fromSeed(`group ${seed}`);
  const { engine } = options;
  const drawnVoters = random.pick([3, 3, 3, 5, 5, 4, 7, 2, 1]);
  const voters = options.members ?? drawnVoters;
  const drawnElector = random.pick(['timeout', 'timeout', 'ballot'] as const);
  const elector = options.elector ?? drawnElector;
  const timing = random.pick([timings[0]!, timings[0]!, timings[1]!, timings[2]!]);
  const lease = random.chance(0.3) ? drawLease(random, timing) : undefined;
  const driftMax = lease?.driftMax ?? random.pick([0.001, 0.01, 0.2]);
  const churns = random.chance(0.4);
  const spares = churns ? random.between(1, 3) : 0;
  const stormMs = random.between(1_000, 8_000);
  const clients = random.between(1, 4);
  const shape = { engine, elector, voters, spares, timing, lease, stormMs } as const;
  return {
    seed,
    ...shape,
    quorums: engine === 'paxos' && !churns && random.chance(0.3) ? drawQuorums(random, voters) : undefined,
    limits: {
      messageMaxBytes: random.pick([1, 300, 2_000, 1_000_000]),
      windowMaxMessages: random.pick([1, 4, 64]),
      uncommittedMaxEntries: random.pick([4, 64, 10_000]),
    },
    host: {
      batchesInFlight: random.pick([1, 2, 8]),
      applyMs: random.pick([0, 0, 0, 1, 30]),
      flushEveryMs: random.pick([undefined, undefined, undefined, 50, 300]),
      keepEntries: random.pick([0, 2, 20]),
      installMs: random.pick([1, 20, 200]),
      isCoded: random.chance(0.2),
    },
    clockRates: Array.from({ length: voters + spares }, () => drawRate(random, driftMax)),
    weather: random.chance(0.6) ? calm : drawWeather(random, timing),
    writeMs: random.pick([
      [0.2, 1],
      [0.2, 1],
      [1, 8],
      [0.05, 30],
    ] as const),
    clients,
    client: {
      keys: random.pick([1, 2, 5]),
      mix: random.pick([
        { read: 4, write: 2, swap: 2, cas: 2 },
        { read: 1, write: 0, swap: 8, cas: 1 },
        { read: 8, write: 1, swap: 1, cas: 0 },
      ]),
      readLevels: drawReadLevels(random, engine, lease),
      concurrency: random.pick([1, 1, 2, 4]),
      tryMs: random.pick([50, 200, 600]),
      callMs: random.pick([300, 2_000]),
      givesUp: random.pick([0, 0.5]),
      paddingBytes: random.pick([0, 0, 100]),
    },
    others: random.pick(fates),
    happenings: new Drawing(random, { stormMs, timing, clients, driftMax, churns, leases: lease !== undefined }).all(),
    retires: churns && random.chance(0.5),
    // a narrow window is full, and has an end, much more often than a wide one
    windowSlots: engine === 'paxos' ? random.pick([4, 16, 64, 256]) : undefined,
  };
}

function drawLease(random: SimRandom, { electionTimeoutMinMs }: EngineTiming): LeaseTerms {
  return {
    durationMs: electionTimeoutMinMs * random.pick([0.5, 1, 1.5, 1.9, 3]),
    driftMax: random.pick([0.001, 0.05, 0.2]),
  };
}

/** The fastest and the slowest clock differ by at most driftMax. */
function drawRate(random: SimRandom, driftMax: number): number {
  const most = driftMax / (2 + driftMax);
  return 1 + random.pick([-most, most, 0, (random.next() * 2 - 1) * most]);
}

function drawQuorums(random: SimRandom, voters: number): GroupPlan['quorums'] {
  const accept = random.between(1, voters);
  return { accept, prepare: voters - accept + 1 };
}

function drawReadLevels(
  random: SimRandom,
  engine: EngineName,
  lease: LeaseTerms | undefined,
): GroupPlan['client']['readLevels'] {
  const levels: GroupPlan['client']['readLevels'][number][] = ['linearizable'];
  if (lease !== undefined) levels.push('lease', 'lease');
  if (engine === 'paxos' && random.chance(0.5)) levels.push('quorum', 'quorum');
  if (random.chance(0.1)) levels.push('stale');
  return levels;
}

function drawWeather(random: SimRandom, { electionTimeoutMinMs }: EngineTiming): Weather {
  const slow = random.pick([2, 10, electionTimeoutMinMs]);
  return {
    loss: random.chance(0.5) ? 0 : random.next() * 0.3,
    duplication: random.chance(0.5) ? 0 : random.next() * 0.3,
    echo: random.chance(0.6) ? 0 : random.next() * 0.1,
    lateMs: random.pick([100, 1_000, 4_000]),
    delayMs: random.chance(0.5) ? [0.3, 1] : [0.3, slow],
  };
}

/** What may come right before all is to be well: requests that are then under way. */
const lastStraws: readonly HappeningKind[] = ['transfer', 'transfer', 'members', 'crash', 'pause', 'flush', 'trap'];

interface Bounds {
  readonly stormMs: number;
  readonly timing: EngineTiming;
  readonly clients: number;
  readonly driftMax: number;
  readonly churns: boolean;
  /** Monotonic clocks do not jump then: leases trust them. */
  readonly leases: boolean;
}

const troubleKinds: readonly HappeningKind[] = [
  'weather',
  'crash',
  'crash',
  'trap',
  'trap',
  'blackout',
  'partition',
  'partition',
  'unrest',
  'unrest',
  'pause',
  'jump',
  'day',
  'drift',
  'slowDisk',
  'diskError',
  'damage',
  'flush',
  'transfer',
  'clone',
];

class Drawing {
  readonly #random: SimRandom;
  readonly #bounds: Bounds;
  /** How long things last. */
  readonly #longMs: number;

  constructor(random: SimRandom, bounds: Bounds) {
    this.#random = random;
    this.#bounds = bounds;
    this.#longMs = random.pick([0.5, 3, 10]) * bounds.timing.electionTimeoutMaxMs;
  }

  all(): readonly Happening[] {
    const trouble = this.#inPairs(this.#trouble());
    const happenings = [...this.#work(), ...trouble, ...this.#bursts(trouble), ...this.#contests()];
    return [...happenings, ...drawPlots(this.#random, this.#bounds)].sort((a, b) => a.atMs - b.atMs);
  }

  /** Each client works in shifts, so that some load can be left out when a plan is made smaller. */
  #work(): Happening[] {
    const random = this.#random;
    const { stormMs, clients } = this.#bounds;
    const shiftMs = stormMs / random.between(2, 5);
    const thinkMs = random.pick([20, 80, 80, 300]) * clients;
    const shifts: Happening[] = [];
    for (let client = 1; client <= clients; client++)
      for (let atMs = 0; atMs < stormMs; atMs += shiftMs)
        if (random.chance(0.9)) shifts.push({ kind: 'work', atMs, client, forMs: shiftMs, thinkMs });
    return shifts;
  }

  #trouble(): Happening[] {
    const random = this.#random;
    const { stormMs, timing } = this.#bounds;
    const kinds = this.#kinds();
    const everyMs = random.pick([0.3, 1, 1, 4]) * timing.electionTimeoutMaxMs;
    const happenings: Happening[] = [];
    for (let atMs = random.next() * everyMs; atMs < stormMs; atMs += random.next() * 2 * everyMs)
      happenings.push(this.#one(random.pick(kinds), atMs));
    if (random.chance(0.3)) happenings.push(this.#one(random.pick(lastStraws), stormMs - 1));
    return happenings;
  }

  #kinds(): readonly HappeningKind[] {
    const random = this.#random;
    const { churns, leases } = this.#bounds;
    const kinds = random
      .shuffled(troubleKinds.filter((kind) => kind !== 'jump' || !leases))
      .slice(0, random.between(1, 8));
    if (churns) kinds.push('members', 'members');
    return kinds;
  }

  /**
   * A lease matters while there are two who might lead: now and then who leads has just committed something, and is cut off, some of the
   * times while it hands over.
   */
  #contests(): readonly Happening[] {
    const random = this.#random;
    const { leases, stormMs, timing, clients } = this.#bounds;
    if (!leases || random.chance(0.2)) return [];
    const forMs = 2 * timing.electionTimeoutMaxMs;
    const contests: Happening[] = [];
    for (let atMs = forMs * (0.5 + random.next()); atMs < stormMs; atMs += forMs * (1 + 2 * random.next())) {
      const shape = random.pick(['isolate', 'isolate', 'split', 'mute', 'deaf'] as const);
      const target = { leader: true, pick: random.next() };
      const handsOver = random.chance(0.4);
      contests.push({ kind: 'burst', atMs: atMs - random.next() * 20, client: random.between(1, clients), calls: 3 });
      if (handsOver) contests.push({ kind: 'transfer', atMs, pick: random.next() });
      const cutMs = atMs + (handsOver ? 0.3 + 2 * random.next() : 0);
      contests.push({ kind: 'partition', atMs: cutMs, shape, target, pick: random.next(), forMs });
    }
    return contests;
  }

  /** Some troubles do not come alone: another of the kinds follows in no time. */
  #inPairs(trouble: readonly Happening[]): readonly Happening[] {
    const random = this.#random;
    if (random.chance(0.5)) return trouble;
    const kinds = trouble.map(({ kind }) => kind);
    const afterMs = random.pick([1, 5, 30]);
    return trouble.flatMap((one) =>
      random.chance(0.4) ? [one, this.#one(random.pick(kinds), one.atMs + random.next() * afterMs)] : [one],
    );
  }

  /** What is under way when trouble comes: more than what clients are at otherwise. */
  #bursts(trouble: readonly Happening[]): readonly Happening[] {
    const random = this.#random;
    if (random.chance(0.7)) return [];
    const calls = random.pick([3, 5, 10]);
    const beforeMs = random.pick([2, 5, 30]);
    return trouble
      .filter(({ atMs }) => atMs > beforeMs && random.chance(0.3))
      .map(({ atMs }) => {
        const client = random.between(1, this.#bounds.clients);
        return { kind: 'burst', atMs: atMs - random.next() * beforeMs, client, calls };
      });
  }

  #one(kind: HappeningKind, atMs: number): Happening {
    const random = this.#random;
    switch (kind) {
      case 'work':
      case 'burst':
      case 'weather':
        return { kind: 'weather', atMs, forMs: this.#span(), weather: drawWeather(random, this.#bounds.timing) };
      case 'crash':
        return { kind, atMs, target: this.#target(), downMs: this.#span(), keep: this.#keep() };
      case 'trap': {
        const target = random.chance(0.5) ? this.#target() : undefined;
        const skip = random.pick([0, 0, 1, 3, 10]);
        return { kind, atMs, target, moment: random.pick(moments), skip, downMs: this.#span(), keep: this.#keep() };
      }
      case 'blackout':
        return { kind, atMs, downMs: this.#span(), apartMs: random.pick([0, 1]) * this.#span(), keep: this.#keep() };
      case 'partition': {
        const shape = random.pick(partitionShapes);
        return { kind, atMs, shape, target: this.#target(), pick: random.next(), forMs: this.#span() };
      }
      case 'unrest': {
        const how = random.pick(['crash', 'crash', 'isolate', 'pause'] as const);
        const afterMs = random.pick([1, 10, 0.2 * this.#bounds.timing.electionTimeoutMaxMs]);
        const forMs = 4 * this.#span();
        return {
          kind,
          atMs,
          forMs,
          chance: random.pick([0.5, 1]),
          afterMs,
          how,
          downMs: this.#span(),
          keep: this.#keep(),
        };
      }
      case 'pause':
      case 'freeze':
        return { kind, atMs, target: this.#target(), forMs: this.#span() };
      case 'jump':
        return { kind, atMs, target: this.#target(), ms: this.#span() };
      case 'day':
        return { kind, atMs, target: this.#target(), ms: random.pick([-1, 1]) * random.pick([10, 10_000, 7_200_000]) };
      case 'drift':
        return { kind, atMs, target: this.#target(), rate: drawRate(random, this.#bounds.driftMax) };
      case 'slowDisk':
        return { kind, atMs, target: this.#target(), forMs: this.#span(), writeMs: random.pick([20, 200, 2_000]) };
      case 'diskError':
        return { kind, atMs, target: this.#target(), downMs: this.#span() };
      case 'damage':
        return { kind, atMs, target: this.#target(), at: random.next(), how: random.pick(['rot', 'misdirected']) };
      case 'flush':
        return { kind, atMs, target: this.#target(), keep: random.pick([0, 0, 3, 20]) };
      case 'transfer':
        return { kind, atMs, pick: random.next() };
      case 'members':
        return { kind, atMs, change: random.pick(memberChanges), pick: random.next() };
      case 'clone':
        return { kind, atMs, target: this.#target() };
    }
  }

  #target(): Target {
    return { leader: this.#random.chance(0.4), pick: this.#random.next() };
  }

  #span(): number {
    return Math.ceil(this.#random.next() * this.#longMs);
  }

  #keep(): number {
    return this.#random.pick([0, 0, 1, this.#random.next()]);
  }
}
