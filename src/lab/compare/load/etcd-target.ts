/** etcd under load: its own gRPC service (etcdserverpb.KV), all clients over a few connections to one member, the leader first. */
import { Attempts } from './attempts.ts';
import { GrpcConnection } from './grpc-connection.ts';
import { protoBool, protoBytes, protoField, requestHeaders } from './http2-frames.ts';
import { MemberConnections } from './member-connections.ts';
import type { ReadKind, Target } from './target.ts';

const putPath = '/etcdserverpb.KV/Put';
const rangePath = '/etcdserverpb.KV/Range';

interface Member {
  readonly put: Buffer;
  readonly range: Buffer;
  readonly connections: MemberConnections<GrpcConnection>;
}

export class EtcdTarget implements Target {
  readonly #attempts: Attempts<Member>;
  readonly #members: readonly Member[];
  readonly #timeoutMs: number;

  constructor(addresses: readonly string[], connections: number, attemptMs: number) {
    this.#members = addresses.map((address) => memberAt(address, connections));
    this.#attempts = new Attempts(this.#members);
    this.#timeoutMs = attemptMs;
  }

  async put(client: number, key: string, value: Uint8Array): Promise<void> {
    const message = Buffer.concat([protoBytes(1, Buffer.from(key)), protoBytes(2, value)]);
    await this.#call(client, (member) => member.put, message);
  }

  async get(client: number, key: string, kind: ReadKind): Promise<Uint8Array | undefined> {
    const message = Buffer.concat([protoBytes(1, Buffer.from(key)), protoBool(7, kind === 'stale')]);
    const answer = await this.#call(client, (member) => member.range, message);
    const found = protoField(answer, 2);
    return found === undefined ? undefined : (protoField(found, 5) ?? new Uint8Array(0));
  }

  close(): void {
    for (const { connections } of this.#members) connections.close();
  }

  #call(client: number, headers: (member: Member) => Buffer, message: Uint8Array): Promise<Buffer> {
    return this.#attempts.run(
      (member) => member.connections.of(client).call(headers(member), message, this.#timeoutMs),
      () => undefined,
    );
  }
}

function memberAt(address: string, connections: number): Member {
  return {
    put: requestHeaders(putPath, address),
    range: requestHeaders(rangePath, address),
    connections: new MemberConnections(address, connections, (host, port) => new GrpcConnection(host, port)),
  };
}
