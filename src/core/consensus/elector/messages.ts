/** What electors say to each other. Travels inside the engine's own messages. */
import { bool, struct, type TypeOf, union, varint } from '../../base/codec.ts';

export const electorMessage = union({
  /** Would you elect me in `term`? Changes nothing on either side. `standing…`: how far the asker's log reaches. */
  preVote: [1, struct({ term: varint, standingTerm: varint, standingIndex: varint })],
  /** Granted: the term asked for; refused: the voter's own. */
  preVoteResponse: [2, struct({ term: varint, granted: bool })],
  /** Opens a heartbeat round of ballot leader election. */
  heartbeatRequest: [3, struct({ round: varint })],
  /**
   * ballotRound: with the sender's id, the ballot that it leads with or seeks to lead with; 0 if it does neither. quorumConnected: it hears a quorum that could
   * elect it. contented: it leads or hears a leader that is quorum-connected, or has promised somebody else to follow it and hears that it goes on.
   */
  heartbeatReply: [
    4,
    struct({
      round: varint,
      ballotRound: varint,
      leading: bool,
      quorumConnected: bool,
      contented: bool,
      standingTerm: varint,
      standingIndex: varint,
    }),
  ],
});
export type ElectorMessage = TypeOf<typeof electorMessage>;
export type PreVote = Extract<ElectorMessage, { kind: 'preVote' }>;
export type PreVoteResponse = Extract<ElectorMessage, { kind: 'preVoteResponse' }>;
export type HeartbeatReply = Extract<ElectorMessage, { kind: 'heartbeatReply' }>;
