/** The transports under test, by name: how each is served, and how it is called. */
import type { Caller, Locator } from './locator.ts';

export interface Transport {
  serve(locator: Locator, port: number): Promise<void>;
  /** @param inFlight calls that will be under way at once */
  call(port: number, inFlight: number): Promise<Caller>;
}

const framed = () => import('./framed.ts');
const http = () => import('./http.ts');
const grpc = () => import('./grpc.ts');

const overHttp = async (locator: Locator, port: number) => (await http()).serveHttp(locator, port);
const overGrpc = async (locator: Locator, port: number) => (await grpc()).serveGrpc(locator, port);
const overFrames = async (locator: Locator, port: number) => (await framed()).serveFramed(locator, port);

export const transports = {
  'framed TCP': { serve: overFrames, call: async (port) => (await framed()).callFramed(port, 'protobuf') },
  'framed TCP, own codec': { serve: overFrames, call: async (port) => (await framed()).callFramed(port, 'own') },
  'HTTP/1.1 + JSON': {
    serve: overHttp,
    call: async (port, connections) => (await http()).callJson(port, { connections, keepAlive: true }),
  },
  'HTTP/1.1 + JSON, no keep-alive': {
    serve: overHttp,
    call: async (port, connections) => (await http()).callJson(port, { connections, keepAlive: false }),
  },
  'gRPC unary': { serve: overGrpc, call: async (port) => (await grpc()).callUnary(port) },
  'gRPC unary, light client': { serve: overGrpc, call: async (port) => (await grpc()).callUnaryLight(port) },
  'gRPC streaming': { serve: overGrpc, call: async (port) => (await grpc()).callStreaming(port) },
  'gRPC-Web': {
    serve: overHttp,
    call: async (port, connections) => (await http()).callWeb(port, { connections, keepAlive: true }),
  },
} as const satisfies Record<string, Transport>;

export type TransportName = keyof typeof transports;
export const transportNames = Object.keys(transports) as TransportName[];
