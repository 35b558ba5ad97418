/** What the members of an embedded group ask of each other. Messages and snapshots travel as those of masters do. */
import { keptBlob, nothing, struct } from '../../core/base/codec.ts';
import { call } from '../../core/protocol/call.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { commandId } from '../../core/protocol/types.ts';

export const nodeCalls = {
  consensus: masterCalls.consensus,
  snapshotPart: masterCalls.snapshotPart,
  introduce: masterCalls.introduce,
  /** At the leader: commits a command, once for each id, and answers with what the machine made of it. */
  execute: call(1, struct({ id: commandId, command: keptBlob }), struct({ result: keptBlob })),
  /** At the leader: asks the machine a question, after everything that was acknowledged before. */
  query: call(2, struct({ question: keptBlob }), struct({ answer: keptBlob })),
  hello: call(3, nothing, nothing),
} as const;
export type NodeCalls = typeof nodeCalls;
