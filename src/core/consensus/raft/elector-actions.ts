/** What Raft does when its elector asks for it. */
import type { NodeId } from '../../base/brand.ts';
import type { ElectorOutbox } from '../elector/elector.ts';
import type { ElectorMessage } from '../elector/messages.ts';
import type { TraceEvent } from '../engine.ts';
import { becomeCandidate } from './election.ts';
import type { Outbox } from './outbox.ts';
import { becomeFollower } from './role.ts';
import type { RaftState } from './state.ts';
import { toTerm } from './term.ts';

export function tickElector(s: RaftState, out: Outbox): void {
  s.elector.tick(s.view, new ElectorActions(s, out));
}

export function onElectorMessage(s: RaftState, out: Outbox, from: NodeId, message: ElectorMessage): void {
  s.elector.receive(s.view, new ElectorActions(s, out), from, message);
}

class ElectorActions implements ElectorOutbox {
  readonly #s: RaftState;
  readonly #out: Outbox;

  constructor(s: RaftState, out: Outbox) {
    this.#s = s;
    this.#out = out;
  }

  send(to: NodeId, message: ElectorMessage): void {
    this.#out.sendAfter(this.#s.durability.termIo, to, { kind: 'elector', message });
  }
  canvass(): void {
    this.#s.leader = undefined;
    this.#s.role = 'preCandidate';
    this.#s.votes.clear();
  }
  standBy(): void {
    becomeFollower(this.#s, this.#out, this.#s.currentTerm, undefined, 'no leader is heard');
  }
  campaign(): void {
    becomeCandidate(this.#s, this.#out);
  }
  abdicate(why: string): void {
    becomeFollower(this.#s, this.#out, this.#s.currentTerm, undefined, why);
  }
  higherTerm(term: number): void {
    becomeFollower(this.#s, this.#out, toTerm(term), undefined, 'a voter knows a higher term');
  }
  trace(name: string, fields: TraceEvent['fields']): void {
    this.#out.trace(name, fields);
  }
}
