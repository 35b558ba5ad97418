/** A bare group of Cairn under load: all clients over one connection to whoever leads, each with a session of its own. */
import { tmpdir } from 'node:os';
import { type Address, toAddress } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';
import { type MemberCalls, memberCalls } from '../groups/kv.ts';
import { Attempts, Refused } from './attempts.ts';
import type { ReadKind, Target } from './target.ts';

interface Session {
  readonly client: number;
  sequence: number;
}

export class CairnTarget implements Target {
  readonly #env: Env = nodeEnv({ dir: tmpdir() });
  readonly #addresses: readonly Address[];
  readonly #attempts: Attempts<Address>;
  readonly #connections = new Map<Address, RpcConnection<MemberCalls>>();
  readonly #sessions = new Map<number, Session>();
  readonly #timeoutMs: number;

  constructor(addresses: readonly string[], attemptMs: number) {
    this.#addresses = addresses.map(toAddress);
    this.#attempts = new Attempts(this.#addresses);
    this.#timeoutMs = attemptMs;
  }

  async put(client: number, key: string, value: Uint8Array): Promise<void> {
    const session = this.#session(client);
    const sequence = session.sequence++;
    const id = { client: session.client, sequence, ackBelow: sequence };
    await this.#call((rpc) => rpc.call('put', { id, key, value }, { timeoutMs: this.#timeoutMs }));
  }

  async get(_client: number, key: string, level: ReadKind): Promise<Uint8Array | undefined> {
    const answer = await this.#call((rpc) => rpc.call('get', { key, level }, { timeoutMs: this.#timeoutMs }));
    return answer.response.value;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close('the load ends');
  }

  #session(client: number): Session {
    const known = this.#sessions.get(client);
    if (known !== undefined) return known;
    const made = { client: this.#env.random.id53(), sequence: 1 };
    this.#sessions.set(client, made);
    return made;
  }

  #call<T>(act: (rpc: RpcConnection<MemberCalls>) => Promise<T>): Promise<T> {
    return this.#attempts.run(
      (address) => this.#attempt(address, act),
      (failure) => {
        const { code, hint } = toCairnError(failure);
        if (code === 'TIMED_OUT' || code === 'CONNECTION_LOST') return undefined;
        return this.#addresses.find((address) => address === hint) ?? 'none';
      },
    );
  }

  async #attempt<T>(address: Address, act: (rpc: RpcConnection<MemberCalls>) => Promise<T>): Promise<T> {
    try {
      return await act(this.#connection(address));
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.retry === 'never') throw new Refused(error.message, { cause: error });
      throw error;
    }
  }

  #connection(address: Address): RpcConnection<MemberCalls> {
    const known = this.#connections.get(address);
    if (known !== undefined && !known.isClosed) return known;
    const made = RpcConnection.connect(this.#env, address, memberCalls, undefined);
    this.#connections.set(address, made);
    return made;
  }
}
