/** What electors say to each other. Travels inside the engine's own messages. */
import { bool, f64, struct, type TypeOf, union, varint } from '../../base/codec.ts';

/** term: the one that a candidate would have. standing: its log's. */
const preVote = struct({ term: varint, standingTerm: varint, standingIndex: varint });
/** Granted: the term asked for; refused: the voter's own. */
const preVoteResponse = struct({ term: varint, granted: bool });
/** Heartbeat rounds of ballot leader election. */
const heartbeatRequest = struct({ round: varint });
/** ballotRound, ballotNode: the ballot that the sender would lead with, or leads with; `leading` if it does. */
const heartbeatReply = struct({
  round: varint,
  ballotRound: f64,
  ballotNode: varint,
  leading: bool,
  quorumConnected: bool,
  standingTerm: varint,
  standingIndex: varint,
});

export const electorMessage = union({
  preVote: [1, preVote],
  preVoteResponse: [2, preVoteResponse],
  heartbeatRequest: [3, heartbeatRequest],
  heartbeatReply: [4, heartbeatReply],
});
export type ElectorMessage = TypeOf<typeof electorMessage>;
