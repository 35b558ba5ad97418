/** A small key-value machine behind the replicated log, and the calls of a member of such a group. */
import { toUtf8 } from '../../../core/base/bytes.ts';
import {
  blob,
  bool,
  decode,
  encode,
  keptBlob,
  nothing,
  oneOf,
  optional,
  struct,
  text,
  varint,
} from '../../../core/base/codec.ts';
import { call } from '../../../core/protocol/call.ts';
import { masterCalls } from '../../../core/protocol/master-calls.ts';
import { addressCodec, commandId } from '../../../core/protocol/types.ts';
import type { ApplyContext, StateMachine } from '../../../system/rsm/state-machine.ts';
import type { OrderedStore } from '../../../system/storage/ordered-store.ts';

const putCommand = struct({ key: text, value: blob });

export function encodePut(key: string, value: Uint8Array): Uint8Array {
  return encode(putCommand, { key, value });
}

const done = toUtf8('');

export class KeyValueMachine implements StateMachine {
  apply(command: Uint8Array, { store }: ApplyContext): Uint8Array {
    const { key, value } = decode(putCommand, command);
    store.put(storeKey(key), value.slice());
    return done;
  }
  reset(): void {}
}

export function readValue(store: OrderedStore, key: string): Uint8Array | undefined {
  return store.get(storeKey(key));
}

/** Keys of ours begin with a letter, so that they never meet those of the host. */
function storeKey(key: string): string {
  return `k${key}`;
}

export const readLevel = oneOf(['linearizable', 'lease', 'quorum', 'stale']);

/** The calls among members are those of the masters: the same connections, the same frames. */
export const memberCalls = {
  consensus: masterCalls.consensus,
  snapshotPart: masterCalls.snapshotPart,
  put: call(1, struct({ id: commandId, key: text, value: keptBlob }), nothing),
  get: call(2, struct({ key: text, level: readLevel }), struct({ value: optional(keptBlob) })),
  who: call(3, nothing, struct({ leading: bool, established: bool, leader: optional(addressCodec), term: varint })),
} as const;
export type MemberCalls = typeof memberCalls;
