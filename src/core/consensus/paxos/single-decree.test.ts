import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../base/brand.ts';
import { majorityOf } from '../quorums.ts';
import { compareBallots } from './ballot.ts';
import { ballot } from './one-node.test-support.ts';
import { type AcceptorState, type Answer, type Request, SingleAcceptor, SingleProposer } from './single-decree.ts';

const node = toNodeId;
const promise = (round: number, id: number, vote?: [round: number, id: number, value: string]): Answer<string> => ({
  kind: 'promise',
  ballot: ballot(round, id),
  vote: vote && { ballot: ballot(vote[0], vote[1]), value: vote[2] },
});

describe('an acceptor of single-decree Paxos (Paxos Made Simple §2.2)', () => {
  it('P1: votes for the first proposal that it receives', () => {
    const acceptor = new SingleAcceptor<string>();
    expect(acceptor.answer({ kind: 'accept', ballot: ballot(1, 1), value: 'a' }).kind).toBe('accepted');
  });

  it('P1a: votes in a ballot exactly if it has not promised a higher one', () => {
    const acceptor = new SingleAcceptor<string>();
    acceptor.answer({ kind: 'prepare', ballot: ballot(2, 1) });
    const refused = acceptor.answer({ kind: 'accept', ballot: ballot(1, 9), value: 'a' });
    expect(refused).toEqual({ kind: 'rejected', ballot: ballot(1, 9), promised: ballot(2, 1) });
    expect(acceptor.answer({ kind: 'accept', ballot: ballot(2, 1), value: 'b' }).kind).toBe('accepted');
  });

  it('reports its latest vote with a promise', () => {
    const acceptor = new SingleAcceptor<string>();
    acceptor.answer({ kind: 'accept', ballot: ballot(1, 1), value: 'a' });
    expect(acceptor.answer({ kind: 'prepare', ballot: ballot(2, 2) })).toEqual(promise(2, 2, [1, 1, 'a']));
  });

  it('raises its promise with a vote', () => {
    const acceptor = new SingleAcceptor<string>();
    acceptor.answer({ kind: 'accept', ballot: ballot(5, 1), value: 'a' });
    expect(acceptor.answer({ kind: 'prepare', ballot: ballot(4, 2) }).kind).toBe('rejected');
  });
});

describe('a proposer of single-decree Paxos (Paxos Made Simple §2.2)', () => {
  it('proposes its own value if a majority has promised and none of them has voted', () => {
    const proposer = new SingleProposer(node(1), 3, 'own');
    expect(proposer.begin()).toEqual({ kind: 'prepare', ballot: ballot(1, 1) });
    expect(proposer.take(node(2), promise(1, 1))).toBeUndefined();
    expect(proposer.take(node(3), promise(1, 1))).toEqual({ kind: 'accept', ballot: ballot(1, 1), value: 'own' });
  });

  it('P2c: proposes the value of the highest ballot that a majority reports', () => {
    const proposer = new SingleProposer(node(1), 3, 'own', 7);
    proposer.begin();
    proposer.take(node(2), promise(8, 1, [2, 3, 'higher']));
    expect(proposer.take(node(3), promise(8, 1, [2, 2, 'lower']))).toMatchObject({ value: 'higher' });
  });

  it('counts each acceptor once, and answers of its present ballot only', () => {
    const proposer = new SingleProposer(node(1), 3, 'own');
    proposer.begin();
    proposer.take(node(2), promise(1, 1));
    expect(proposer.take(node(2), promise(1, 1))).toBeUndefined();
    proposer.begin();
    expect(proposer.take(node(3), promise(1, 1))).toBeUndefined();
  });

  it('goes above the ballot that a refusal names', () => {
    const proposer = new SingleProposer(node(1), 3, 'own');
    proposer.begin();
    proposer.take(node(2), { kind: 'rejected', ballot: ballot(1, 1), promised: ballot(6, 2) });
    expect(proposer.begin().ballot).toEqual(ballot(7, 1));
  });
});

// ---------------------------------------------------------------- all of them together

interface Flight {
  readonly proposer: number;
  readonly acceptor: number;
  readonly payload: Request<string> | Answer<string>;
}

/** Proposers that compete, in a world that loses, repeats and overtakes messages and restarts acceptors: `choices` says how. */
function compete(proposers: number, acceptors: number, choices: readonly number[]) {
  const saved: AcceptorState<string>[] = Array.from({ length: acceptors }, () => new SingleAcceptor<string>().state);
  const rivals = Array.from(
    { length: proposers },
    (_, i) => new SingleProposer(node(i + 1), acceptors, `value ${i + 1}`),
  );
  const votes = new Map<string, Set<number>>();
  let flights: Flight[] = [];
  const toAll = (proposer: number, payload: Request<string>) => {
    for (let acceptor = 0; acceptor < acceptors; acceptor++) flights.push({ proposer, acceptor, payload });
  };
  const arrive = ({ proposer, acceptor, payload }: Flight) => {
    if (payload.kind === 'prepare' || payload.kind === 'accept') {
      const restarted = new SingleAcceptor(saved[acceptor]); // its memory is what it saved, and nothing else
      const answer = restarted.answer(payload);
      expect(compareBallots(restarted.state.promised, saved[acceptor]!.promised)).toBeGreaterThanOrEqual(0);
      saved[acceptor] = restarted.state;
      if (answer.kind === 'accepted') {
        const key = `${answer.ballot.round}.${answer.ballot.node} ${answer.value}`;
        votes.set(key, (votes.get(key) ?? new Set()).add(acceptor));
      }
      flights.push({ proposer, acceptor, payload: answer });
    } else {
      const next = rivals[proposer]!.take(node(acceptor + 1), payload);
      if (next !== undefined) toAll(proposer, next);
    }
  };
  for (const choice of choices) {
    if (flights.length === 0 || choice % 23 === 0) toAll(choice % proposers, rivals[choice % proposers]!.begin());
    else {
      const at = choice % flights.length;
      const flight = flights[at]!;
      if (choice % 9 !== 0) flights = flights.filter((_, i) => i !== at); // else it arrives once more, later
      if (choice % 13 !== 0) arrive(flight);
    }
  }
  const chosen = [...votes]
    .filter(([, who]) => who.size >= majorityOf(acceptors))
    .map(([key]) => key.split(' ').at(-1)!);
  return {
    chosen: [...new Set(chosen)],
    learned: rivals.flatMap((rival) => rival.chosen?.value.split(' ').at(-1) ?? []),
  };
}

describe('competing proposers of single-decree Paxos (Paxos Made Simple §2.1)', () => {
  it('never have two values chosen, nor learn one that is not, whatever becomes of messages', () => {
    let decided = 0;
    const sizes = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }));
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.nat(100_000), { minLength: 60, maxLength: 250 }),
        ([proposers, acceptors], choices) => {
          const { chosen, learned } = compete(proposers, acceptors, choices);
          expect(chosen.length).toBeLessThanOrEqual(1);
          for (const value of learned) expect(chosen).toContain(value);
          decided += chosen.length;
        },
      ),
      { numRuns: 1500 },
    );
    expect(decided).toBeGreaterThan(500);
  });

  it('decide at once when one is left alone (§2.4)', () => {
    const proposer = new SingleProposer(node(1), 3, 'own');
    const acceptors = [1, 2, 3].map((id) => ({ id: node(id), acceptor: new SingleAcceptor<string>() }));
    let request: Request<string> | undefined = proposer.begin();
    while (request !== undefined) {
      const asked: Request<string> = request;
      request = undefined;
      for (const { id, acceptor } of acceptors) request = proposer.take(id, acceptor.answer(asked)) ?? request;
    }
    expect(proposer.chosen).toEqual({ value: 'own' });
  });
});
