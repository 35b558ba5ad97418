/**
 * What few groups meet and none must fall for: states that travel long while the group goes on, operators who ask a leader that has been
 * deposed, changes of members that cross each other, pauses between reading the clock and acting on it. Drawn from a stream of their own and
 * added to some plans: whatever else a seed draws stays as it was.
 */
import { unreachable } from '../../../core/base/assert.ts';
import { SimRandom } from '../../../platform/sim/random.ts';
import type { GroupPlan, Happening, Target } from './plan.ts';

const plots = ['agedState', 'freezes', 'retreat', 'promotion', 'crossing', 'twoMasters'] as const;
type Plot = (typeof plots)[number];
/** Those without a change of members. */
const plotsOfFixedMembers: readonly Plot[] = ['agedState', 'freezes'];

export function addRarities(plan: GroupPlan): GroupPlan {
  const random = SimRandom.fromSeed(`rarities ${plan.seed}`);
  if (random.chance(0.4)) return plan;
  const churns = plan.spares > 0;
  const plot = random.pick(churns ? plots : plotsOfFixedMembers);
  const patienceMs = plan.timing.electionTimeoutMaxMs;
  const streamMs = plot === 'agedState' || random.chance(0.3) ? random.pick([0.5, 1, 4]) * patienceMs : 0;
  const resizes = plan.engine === 'paxos' && churns && plan.quorums === undefined && random.chance(0.4);
  const happenings = [...plan.happenings, ...new Plotting(random, plan).all(plot)];
  return {
    ...plan,
    quorums: resizes ? drawSizes(random, plan.voters) : plan.quorums,
    host: { ...plan.host, streamMs },
    isLeaderGuessed: random.chance(0.5),
    leavesWhenTold: churns && random.chance(0.5),
    happenings: happenings.sort((a, b) => a.atMs - b.atMs),
  };
}

/** Such that there may be a voter less, and with luck one more. */
function drawSizes(random: SimRandom, voters: number): GroupPlan['quorums'] {
  const accept = random.between(1, Math.max(1, voters - 1));
  const prepare = Math.min(voters, voters - accept + 1 + random.pick([0, 1]));
  return { accept, prepare };
}

class Plotting {
  readonly #random: SimRandom;
  readonly #plan: GroupPlan;
  readonly #patienceMs: number;

  constructor(random: SimRandom, plan: GroupPlan) {
    this.#random = random;
    this.#plan = plan;
    this.#patienceMs = plan.timing.electionTimeoutMaxMs;
  }

  all(plot: Plot): readonly Happening[] {
    const random = this.#random;
    const everyMs = random.pick([4, 8, 16]) * this.#patienceMs;
    const happenings: Happening[] = [];
    for (let atMs = random.next() * everyMs; atMs < this.#plan.stormMs; atMs += everyMs * (0.5 + random.next()))
      happenings.push(...this.#one(plot, atMs));
    return happenings.filter(({ atMs }) => atMs < this.#plan.stormMs);
  }

  #one(plot: Plot, atMs: number): readonly Happening[] {
    switch (plot) {
      case 'agedState':
        return this.#agedState(atMs);
      case 'freezes':
        return this.#freezes(atMs);
      case 'retreat':
        return this.#retreat(atMs);
      case 'promotion':
        return this.#promotion(atMs);
      case 'crossing':
        return this.#crossing(atMs);
      case 'twoMasters':
        return this.#twoMasters(atMs);
      default:
        return unreachable(plot);
    }
  }

  /** A state is on its way to somebody; before it is there the leader is another, or that very node seeks to lead. */
  #agedState(atMs: number): readonly Happening[] {
    const random = this.#random;
    const away = this.#somebody();
    const downMs = this.#patienceMs * (0.5 + random.next());
    const backMs = atMs + downMs;
    return [
      { kind: 'crash', atMs, target: away, downMs, keep: random.pick([0, 1]) },
      this.#burst(atMs + downMs * random.next()),
      this.#flush(backMs - 1, 0),
      ...(random.chance(0.5) ? [this.#members(backMs + this.#soon())] : []),
      this.#upheaval(backMs + this.#soon(), random.chance(0.7) ? leader(random) : away),
      this.#flush(backMs + 2 * this.#soon(), 0),
    ];
  }

  /** Who leads, or follows, stands still with what it has just decided, mostly for about as long as a lease or patience lasts. */
  #freezes(atMs: number): readonly Happening[] {
    const random = this.#random;
    const { lease } = this.#plan;
    const forMs = (lease?.durationMs ?? this.#patienceMs) * random.pick([0.3, 0.9, 1.1, 2]);
    return [
      this.#burst(atMs),
      {
        kind: 'freeze',
        atMs: atMs + this.#shortly(),
        target: random.chance(0.7) ? leader(random) : this.#somebody(),
        forMs,
      },
      this.#burst(atMs + this.#shortly()),
      this.#burst(atMs + forMs * random.next()),
    ];
  }

  /** The leader is to go on alone, while calls are under way, and hears nothing more of the others before they have answered all. */
  #retreat(atMs: number): readonly Happening[] {
    const random = this.#random;
    const pick = random.next();
    const forMs = random.pick([0.3, 6]) * this.#patienceMs;
    const cut = { kind: 'partition', shape: 'isolate', target: leader(random), pick, forMs } as const;
    const grows = random.chance(0.5);
    return [
      { kind: 'members', atMs, change: 'alone', pick },
      ...Array.from({ length: 4 }, () => this.#burst(atMs + this.#shortly())),
      { ...cut, atMs: atMs + 2 * this.#shortly() },
      ...(grows ? [{ kind: 'members', atMs: atMs + forMs, change: 'addVoter', pick } as const] : []),
    ];
  }

  /** Somebody begins to listen, with all that it needs gone from the logs, and is to vote while the state is on its way to it. */
  #promotion(atMs: number): readonly Happening[] {
    const random = this.#random;
    const pick = random.next();
    const moment = random.pick(['streaming', 'installing', 'installing', 'writing'] as const);
    const downMs = this.#patienceMs * random.pick([0.1, 1, 3]);
    return [
      this.#burst(atMs - this.#shortly()),
      this.#flush(atMs, 0),
      { kind: 'members', atMs: atMs + 1, change: random.pick(['addNonVoter', 'addVoter'] as const), pick },
      { kind: 'members', atMs: atMs + this.#soon(), change: 'promote', pick },
      ...(random.chance(0.6)
        ? [
            {
              kind: 'trap',
              atMs: atMs + 2,
              target: undefined,
              moment,
              skip: 0,
              downMs,
              keep: random.pick([0, 1]),
            } as const,
          ]
        : []),
      this.#flush(atMs + this.#soon(), 0),
      this.#upheaval(atMs + this.#soon(), random.chance(0.5) ? leader(random) : this.#somebody()),
    ];
  }

  /** A transfer and changes of members that overtake each other, and somebody who misses them. */
  #crossing(atMs: number): readonly Happening[] {
    const random = this.#random;
    const withinMs = random.pick([2, 10, 50]);
    const soon = () => atMs + withinMs * random.next();
    return [
      { kind: 'transfer', atMs: soon(), pick: random.next() },
      this.#members(soon()),
      this.#members(soon()),
      ...(random.chance(0.5) ? [{ kind: 'transfer', atMs: soon(), pick: random.next() } as const] : []),
      ...(random.chance(0.5) ? [this.#flush(soon(), 0)] : []),
      ...(random.chance(0.6) ? [this.#upheaval(soon(), random.chance(0.5) ? leader(random) : this.#somebody())] : []),
    ];
  }

  /** Of two who think that they lead one has been deposed; both are asked for other members. */
  #twoMasters(atMs: number): readonly Happening[] {
    const random = this.#random;
    const forMs = this.#patienceMs * (1 + random.next());
    const shape = random.pick(['isolate', 'split', 'mute', 'constrained'] as const);
    const asked = () => this.#members(atMs + forMs * random.next());
    return [
      this.#members(atMs - this.#shortly()),
      { kind: 'partition', atMs, shape, target: leader(random), pick: random.next(), forMs },
      this.#burst(atMs + this.#shortly()),
      ...Array.from({ length: random.between(1, 4) }, asked),
      { kind: 'transfer', atMs: atMs + forMs * random.next(), pick: random.next() },
    ];
  }

  #upheaval(atMs: number, target: Target): Happening {
    const random = this.#random;
    const forMs = this.#patienceMs * random.pick([0.3, 1, 3]);
    const kind = random.pick(['crash', 'crash', 'partition', 'freeze', 'transfer'] as const);
    if (kind === 'crash') return { kind, atMs, target, downMs: forMs, keep: random.pick([0, 1]) };
    if (kind === 'partition') return { kind, atMs, shape: 'isolate', target, pick: random.next(), forMs };
    if (kind === 'freeze') return { kind, atMs, target, forMs };
    return { kind, atMs, pick: random.next() };
  }

  #members(atMs: number): Happening {
    const changes = ['addVoter', 'addNonVoter', 'promote', 'demote', 'remove', 'removeLeader', 'replace'] as const;
    return { kind: 'members', atMs, change: this.#random.pick(changes), pick: this.#random.next() };
  }

  #burst(atMs: number): Happening {
    return { kind: 'burst', atMs: Math.max(0, atMs), client: this.#random.between(1, this.#plan.clients), calls: 6 };
  }

  #flush(atMs: number, keep: number): Happening {
    return { kind: 'flush', atMs: Math.max(0, atMs), target: leader(this.#random), keep };
  }

  #somebody(): Target {
    return { leader: false, pick: this.#random.next() };
  }

  /** Within what a message or two take. */
  #shortly(): number {
    return 4 * this.#random.next();
  }

  #soon(): number {
    return this.#random.pick([0.1, 0.5, 2]) * this.#patienceMs * this.#random.next();
  }
}

function leader(random: SimRandom): Target {
  return { leader: true, pick: random.next() };
}
