/** The rules that a group is held to, and how one is found broken: it ends the run. */

export const rules = {
  'engine assertion': 'what an engine asserts of itself holds after each step',
  'election safety': 'one leader a term',
  'one vote': 'a node votes once in a term, whatever happens to it in between',
  'promise kept': 'an acceptor votes in no ballot below one that it has promised',
  'told before durable': 'what a node says it has promised, voted for or stored is on its disk',
  'log matching': 'entries of one index and term are the same, and so is everything before them',
  'leader completeness': 'who is elected, or could be by what is on the disks, has everything that was committed',
  'up-to-date log wins':
    'a candidate says truly how its log ends, and has the vote only of those whose logs are no further',
  'log kept': 'a log ends where it was last written, before a restart and after',
  'state-machine safety':
    'all nodes deliver the same entry at an index, without a gap, with the same results and state',
  'committed on disks': 'what is committed is durable on a quorum of the disks, crashed nodes included',
  'committed stays': 'no disk loses what is committed',
  'only forwards':
    'term or ballot, commit and applied index only grow; a restart forgets no term that others have seen',
  'configurations meet': 'any quorum of a configuration meets any of the one before',
  'one value': 'of each slot one value is chosen, over all quorums and ballots',
  'exactly once': 'a command takes effect once, and not if it was refused for certain',
  linearizable: 'what clients saw has an order',
  'fresh read': 'a read that is granted sees everything that was committed when it was asked for',
  contract: 'an engine answers each proposal, read and request once, and nothing that it was not asked',
  progress: 'with a healthy quorum clients are served again within a bound',
  convergence: 'nodes that are healthy and connected come to the same state within a bound',
} as const satisfies Readonly<Record<string, string>>;

export type Rule = keyof typeof rules;

export class BrokenRule extends Error {
  override readonly name = 'BrokenRule';
  readonly rule: Rule;

  constructor(rule: Rule, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rule = rule;
  }
}

/** @throws BrokenRule */
export function hold(condition: boolean, rule: Rule, what: () => string): asserts condition {
  if (!condition) throw new BrokenRule(rule, what());
}
