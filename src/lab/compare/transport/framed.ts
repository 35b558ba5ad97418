/** The service over the file system's own framed TCP: with the protobuf messages as they are, and with our codec in their place. */
import { tmpdir } from 'node:os';
import { toAddress } from '../../../core/base/brand.ts';
import { keptBlob, list, struct, text, u16, u32, varint } from '../../../core/base/codec.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { call } from '../../../core/protocol/call.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { routesOf } from '../../../system/rpc/handlers.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';
import { type Caller, type LocateResponse, type Locator, locateRequest, locateResponse } from './locator.ts';

const replica = struct({ server: u16, address: text, rack: text });
const message = struct({ message: keptBlob });
const calls = {
  protobuf: call(1, message, message),
  own: call(
    2,
    struct({ path: text, chunkIndex: varint }),
    struct({ handle: varint, version: varint, length: u32, replicas: list(replica, 16) }),
  ),
} as const;

export async function serveFramed(locator: Locator, port: number): Promise<void> {
  const env = nodeEnv({ dir: tmpdir() });
  const found = (response: LocateResponse | undefined): LocateResponse => {
    if (response === undefined) throw new CairnError('NOT_FOUND', 'there is no such chunk');
    return response;
  };
  const routes = routesOf(calls, {
    protobuf: ({ message }) => {
      const response = found(locator.locate(locateRequest.decode(message)));
      return { response: { message: locateResponse.encode(response) } };
    },
    own: (request) => ({ response: found(locator.locate(request)) }),
  });
  await env.network.listen(toAddress(`127.0.0.1:${port}`), (connection) =>
    RpcConnection.accept(env, connection, {}, routes),
  );
}

export function callFramed(port: number, codec: 'protobuf' | 'own'): Caller {
  const env = nodeEnv({ dir: tmpdir() });
  const rpc = RpcConnection.connect(env, toAddress(`127.0.0.1:${port}`), calls, undefined);
  return {
    locate: async (request) => {
      if (codec === 'own') return (await rpc.call('own', request)).response;
      const answer = await rpc.call('protobuf', { message: locateRequest.encode(request) });
      return locateResponse.decode(answer.response.message);
    },
    close: async () => rpc.close('done'),
  };
}
