/** The service over gRPC, by grpc-js: each call a stream of its own (unary), or all calls over one stream. */
import * as grpc from '@grpc/grpc-js';
import { GrpcConnection } from '../load/grpc-connection.ts';
import { requestHeaders } from '../load/http2-frames.ts';
import {
  type Caller,
  type LocateAnswer,
  type LocateCall,
  type LocateRequest,
  type LocateResponse,
  type Locator,
  locateAnswer,
  locateCall,
  locateManyPath,
  locatePath,
  locateRequest,
  locateResponse,
} from './locator.ts';

const lightTimeoutMs = 10_000;

const service = {
  locate: {
    path: locatePath,
    requestStream: false,
    responseStream: false,
    requestSerialize: locateRequest.encode,
    requestDeserialize: locateRequest.decode,
    responseSerialize: locateResponse.encode,
    responseDeserialize: locateResponse.decode,
  },
  locateMany: {
    path: locateManyPath,
    requestStream: true,
    responseStream: true,
    requestSerialize: locateCall.encode,
    requestDeserialize: locateCall.decode,
    responseSerialize: locateAnswer.encode,
    responseDeserialize: locateAnswer.decode,
  },
} as const;

export function serveGrpc(locator: Locator, port: number): Promise<void> {
  const server = new grpc.Server();
  server.addService(service as unknown as grpc.ServiceDefinition, {
    locate: (call: grpc.ServerUnaryCall<LocateRequest, LocateResponse>, done: grpc.sendUnaryData<LocateResponse>) => {
      const found = locator.locate(call.request);
      if (found === undefined) done({ code: grpc.status.NOT_FOUND, details: 'there is no such chunk' });
      else done(null, found);
    },
    locateMany: (stream: grpc.ServerDuplexStream<LocateCall, LocateAnswer>) => {
      stream.on('data', ({ id, request }: LocateCall) => {
        const response = locator.locate(request);
        if (response === undefined) stream.emit('error', { code: grpc.status.NOT_FOUND });
        else stream.write({ id, response });
      });
      stream.on('end', () => stream.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

function clientOf(port: number): grpc.Client {
  return new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
}

export function callUnary(port: number): Caller {
  const client = clientOf(port);
  const { path, requestSerialize, responseDeserialize } = service.locate;
  return {
    locate: (request) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
          error === null ? resolve(response!) : reject(error),
        );
      }),
    close: async () => client.close(),
  };
}

/** The same server, by a client that costs next to nothing: so that one sees what is the server's and what the client's. */
export function callUnaryLight(port: number): Caller {
  const connection = new GrpcConnection('127.0.0.1', port);
  const headers = requestHeaders(locatePath, `127.0.0.1:${port}`);
  return {
    locate: async (request) =>
      locateResponse.decode(await connection.call(headers, locateRequest.encode(request), lightTimeoutMs)),
    close: async () => connection.close(),
  };
}

export function callStreaming(port: number): Caller {
  const client = clientOf(port);
  const { path, requestSerialize, responseDeserialize } = service.locateMany;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const waiting = new Map<number, { resolve: (response: LocateResponse) => void; reject: (error: Error) => void }>();
  let nextId = 1;
  stream.on('data', ({ id, response }: LocateAnswer) => {
    waiting.get(id)?.resolve(response);
    waiting.delete(id);
  });
  stream.on('error', (error: Error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  return {
    locate: (request) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        stream.write({ id, request });
      }),
    close: async () => {
      stream.end();
      client.close();
    },
  };
}
