/** ZooKeeper under load: keys are nodes below the root; all clients over a few sessions with one server, the leader first. */
import { Attempts, Refused } from './attempts.ts';
import * as jute from './jute.ts';
import { MemberConnections } from './member-connections.ts';
import type { ReadKind, Target } from './target.ts';
import { ZooKeeperConnection, ZooKeeperError } from './zookeeper-connection.ts';

type Member = MemberConnections<ZooKeeperConnection>;

export class ZooKeeperTarget implements Target {
  readonly #members: readonly Member[];
  readonly #attempts: Attempts<Member>;
  readonly #timeoutMs: number;

  constructor(addresses: readonly string[], connections: number, attemptMs: number) {
    this.#members = addresses.map((address) => memberAt(address, connections));
    this.#attempts = new Attempts(this.#members);
    this.#timeoutMs = attemptMs;
  }

  async put(client: number, key: string, value: Uint8Array): Promise<void> {
    const path = `/${key}`;
    const set = () => this.#ask(client, (xid) => jute.setDataFrame(xid, path, value));
    if (await isRefused(set(), jute.errors.noNode)) {
      const create = this.#ask(client, (xid) => jute.createFrame(xid, path, value));
      if (await isRefused(create, jute.errors.nodeExists)) await set(); // an attempt that was given up has made it
    }
  }

  /** `linearizable`: the server first catches up with the leader, which is what ZooKeeper offers. `stale`: as it is. */
  async get(client: number, key: string, kind: ReadKind): Promise<Uint8Array | undefined> {
    const path = `/${key}`;
    try {
      if (kind !== 'stale') await this.#ask(client, (xid) => jute.syncFrame(xid, path));
      return jute.dataOf(await this.#ask(client, (xid) => jute.getDataFrame(xid, path)));
    } catch (thrown) {
      if (codeOf(thrown) === jute.errors.noNode) return undefined;
      throw thrown;
    }
  }

  close(): void {
    for (const member of this.#members) member.close();
  }

  #ask(client: number, frameOf: (xid: number) => Buffer): Promise<Buffer> {
    return this.#attempts.run(
      (member) => this.#attempt(member, client, frameOf),
      () => undefined,
    );
  }

  async #attempt(member: Member, client: number, frameOf: (xid: number) => Buffer): Promise<Buffer> {
    try {
      return await member.of(client).ask(frameOf, this.#timeoutMs);
    } catch (thrown) {
      if (thrown instanceof ZooKeeperError) throw new Refused(thrown.message, { cause: thrown });
      throw thrown;
    }
  }
}

function codeOf(thrown: unknown): number | undefined {
  return thrown instanceof Refused && thrown.cause instanceof ZooKeeperError ? thrown.cause.code : undefined;
}

/** False when it is granted. Any other refusal is thrown. */
async function isRefused(request: Promise<unknown>, code: number): Promise<boolean> {
  try {
    await request;
    return false;
  } catch (thrown) {
    if (codeOf(thrown) === code) return true;
    throw thrown;
  }
}

function memberAt(address: string, connections: number): Member {
  return new MemberConnections(address, connections, (host, port) => new ZooKeeperConnection(host, port));
}
