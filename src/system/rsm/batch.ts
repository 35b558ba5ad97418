/** One proposal of the log: the commands of one turn, with the time at which the leader proposed them. */
import { blob, decode, encode, f64, list, struct, type TypeOf, u53, varint } from '../../core/base/codec.ts';

export const batchMaxCommands = 1024;
export const batchMaxBytes = 1024 * 1024;

/**
 * `client` 0 is the leader itself: no session. Else (client, sequence) is carried out once; `ackBelow`: the client has the
 * results of all sequences below it. An empty command only makes the client known.
 */
const batchCommand = struct({ client: u53, sequence: varint, ackBelow: varint, command: blob });
export type BatchCommand = TypeOf<typeof batchCommand>;

const batch = struct({ time: f64, commands: list(batchCommand, batchMaxCommands) });
export type Batch = TypeOf<typeof batch>;

export function encodeBatch(value: Batch): Uint8Array {
  return encode(batch, value);
}

/** Commands are views of `bytes`. @throws CairnError PROTOCOL */
export function decodeBatch(bytes: Uint8Array): Batch {
  return decode(batch, bytes);
}
