/** What Multi-Paxos does when its elector asks for it. */
import type { NodeId } from '../../base/brand.ts';
import type { ElectorOutbox } from '../elector/elector.ts';
import type { ElectorMessage } from '../elector/messages.ts';
import type { TraceEvent } from '../engine.ts';
import { toRound } from './ballot.ts';
import type { Outbox } from './outbox.ts';
import { campaign } from './proposer.ts';
import { becomeFollower, noteRound } from './role.ts';
import type { PaxosState } from './state.ts';

export function tickElector(s: PaxosState, out: Outbox): void {
  s.elector.tick(s.view, new ElectorActions(s, out));
}

export function onElectorMessage(s: PaxosState, out: Outbox, from: NodeId, message: ElectorMessage): void {
  s.elector.receive(s.view, new ElectorActions(s, out), from, message);
}

class ElectorActions implements ElectorOutbox {
  readonly #s: PaxosState;
  readonly #out: Outbox;

  constructor(s: PaxosState, out: Outbox) {
    this.#s = s;
    this.#out = out;
  }

  send(to: NodeId, message: ElectorMessage): void {
    this.#out.sendAfter(this.#s.durability.termIo, to, { kind: 'elector', message });
  }
  canvass(): void {
    this.#s.leader = undefined;
    this.#s.campaign = undefined;
    this.#s.role = 'preCandidate';
  }
  standBy(): void {
    becomeFollower(this.#s, this.#out, undefined, 'no leader is heard');
  }
  campaign(): void {
    campaign(this.#s, this.#out);
  }
  abdicate(why: string): void {
    becomeFollower(this.#s, this.#out, undefined, why);
  }
  higherTerm(term: number): void {
    noteRound(this.#s, toRound(term));
    becomeFollower(this.#s, this.#out, undefined, 'a voter knows a higher round');
  }
  trace(name: string, fields: TraceEvent['fields']): void {
    this.#out.trace(name, fields);
  }
}
