/** Registers behind the replicated log: what the clients of a group work on. A command is `u8 kind | u8 key | u32 value | u32 expected`. */
import type { ApplyContext, StateMachine } from '../../../system/rsm/state-machine.ts';
import type { OrderedStore } from '../../../system/storage/ordered-store.ts';
import { initialValue, type RegisterInput } from '../linearizability/register-model.ts';

const kinds = ['read', 'write', 'swap', 'cas'] as const;
const commandBytes = 10;

/** Values name their operation: no two commands write the same. */
export type Command = Exclude<RegisterInput, { kind: 'read' }>;

export function encodeCommand(command: Command, paddingBytes: number): Uint8Array {
  const bytes = new Uint8Array(commandBytes + paddingBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kinds.indexOf(command.kind));
  view.setUint8(1, command.key);
  view.setUint32(2, command.value);
  if (command.kind === 'cas') view.setUint32(6, command.expected);
  return bytes;
}

export function decodeSeen(result: Uint8Array): number {
  return new DataView(result.buffer, result.byteOffset).getUint32(0);
}

export class RegisterMachine implements StateMachine {
  readonly #onExecuted: (value: number, index: number) => void;

  /** @param onExecuted told of each command that takes its turn, by the value that it would write */
  constructor(onExecuted: (value: number, index: number) => void) {
    this.#onExecuted = onExecuted;
  }

  apply(command: Uint8Array, { store, index }: ApplyContext): Uint8Array {
    const view = new DataView(command.buffer, command.byteOffset, command.length);
    const key = view.getUint8(1);
    const value = view.getUint32(2);
    this.#onExecuted(value, index);
    const seen = readRegister(store, key);
    if (kinds[view.getUint8(0)] !== 'cas' || seen === view.getUint32(6)) store.put(registerKey(key), u32(value));
    return u32(seen);
  }

  reset(): void {}
}

export function readRegister(store: OrderedStore, key: number): number {
  const bytes = store.get(registerKey(key));
  return bytes === undefined ? initialValue : decodeSeen(bytes);
}

function registerKey(key: number): string {
  return `r${String.fromCharCode(key)}`;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
