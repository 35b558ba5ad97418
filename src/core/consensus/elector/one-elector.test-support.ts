/** One elector under test: what it sees is set by hand, and what it asks for is noted. */
import { type Millis, type NodeId, toNodeId } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import { defaultLimits, defaultTiming, type ElectorName, type Members, toEpoch } from '../engine.ts';
import { isVoter, quorumSystemOf } from '../quorums.ts';
import { createElector } from './create.ts';
import type { Elector, ElectorOutbox, ElectorView, Standing } from './elector.ts';
import type { ElectorMessage, HeartbeatReply } from './messages.ts';

export class OneElector {
  readonly view: { -readonly [Field in keyof ElectorView]: ElectorView[Field] };
  elector: Elector;
  /** What was asked of the engine, in order, since it was last taken. */
  #asked: string[] = [];
  #sent: { readonly to: NodeId; readonly message: ElectorMessage }[] = [];
  readonly heardAt = new Map<number, number>();

  constructor(name: ElectorName, voters = 3, members?: Members) {
    const all = Array.from({ length: voters }, (_, i) => toNodeId(i + 1));
    const bootstrap = members ?? { voters: all, nonVoters: [] };
    const id = toNodeId(1);
    const common = { id, bootstrap, epoch: toEpoch(1), seed: 1, crc32, timing: defaultTiming, limits: defaultLimits };
    this.view = {
      ...{ id, now: 1000 as Millis, members: bootstrap, timing: defaultTiming, term: 4, standing: [0, 0] as Standing },
      ...{
        quorums: quorumSystemOf(bootstrap),
        leader: undefined,
        leading: false,
        diskStalled: false,
        eligible: isVoter(bootstrap, id),
      },
      heardAt: (peer) => this.heardAt.get(peer) ?? 0,
    };
    this.elector = createElector(name, common);
    this.elector.restart(this.view);
  }

  readonly #out: ElectorOutbox = {
    send: (to, message) => void this.#sent.push({ to, message }),
    canvass: () => void this.#asked.push('canvass'),
    standBy: () => void this.#asked.push('standBy'),
    campaign: () => {
      this.view.term += 1;
      this.elector.restart(this.view);
      this.#asked.push('campaign');
    },
    abdicate: (why) => void this.#asked.push(`abdicate: ${why}`),
    higherTerm: (term) => {
      this.view.term = term;
      this.#asked.push(`higherTerm ${term}`);
    },
    trace: () => {},
  };

  get asked(): readonly string[] {
    return this.#asked.splice(0);
  }
  get sent(): readonly { readonly to: NodeId; readonly message: ElectorMessage }[] {
    return this.#sent.splice(0);
  }

  /** Time passes, then it is ticked. */
  pass(ms: number): void {
    this.view.now = (this.view.now + ms) as Millis;
    this.elector.tick(this.view, this.#out);
  }

  receive(from: number, message: ElectorMessage): void {
    this.elector.receive(this.view, this.#out, toNodeId(from), message);
  }

  follow(leader: number): void {
    this.view.leader = toNodeId(leader);
    this.elector.leaderHeard(this.view);
  }

  /** One heartbeat round in which the peers named answer as they are told to. */
  round(replies: Readonly<Record<number, Partial<HeartbeatReply>>>): void {
    this.pass(defaultTiming.heartbeatIntervalMs);
    for (const { to, message } of this.sent) {
      const reply = replies[to];
      if (message.kind !== 'heartbeatRequest' || reply === undefined) continue;
      this.receive(to, { ...indifferent, ...reply, round: message.round });
    }
  }
}

const indifferent: HeartbeatReply = {
  kind: 'heartbeatReply',
  ...{ round: 0, ballotRound: 0, leading: false, quorumConnected: true, contented: false },
  ...{ standingTerm: 0, standingIndex: 0 },
};
