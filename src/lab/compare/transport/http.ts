/** The service over HTTP/1.1: as JSON, and as gRPC-Web (which needs no HTTP/2). Both are served by one `node:http` server. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool } from 'undici';
import {
  type Caller,
  type LocateRequest,
  type LocateResponse,
  type Locator,
  locatePath,
  locateRequest,
  locateResponse,
} from './locator.ts';

const jsonPath = '/v1/locate';
const frameHeadBytes = 5;
/** The last frame of a gRPC-Web body is its trailers. */
const trailersFlag = 0x80;
const grpcOk = trailersFrame(0);
const grpcNotFound = trailersFrame(5);
const webHeaders = { 'content-type': 'application/grpc-web+proto' };

export function serveHttp(locator: Locator, port: number): Promise<void> {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () =>
      answer(locator, request, response, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)),
    );
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

function answer(locator: Locator, request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  if (request.url === jsonPath) answerJson(locator, response, body);
  else if (request.url === locatePath) answerWeb(locator, response, body);
  else response.writeHead(404).end();
}

function answerJson(locator: Locator, response: ServerResponse, body: Buffer): void {
  const found = locator.locate(JSON.parse(body.toString('utf8')) as LocateRequest);
  const text = Buffer.from(JSON.stringify(found ?? { error: 'NOT_FOUND' }));
  const head = { 'content-type': 'application/json', 'content-length': text.length };
  response.writeHead(found === undefined ? 404 : 200, head).end(text);
}

function answerWeb(locator: Locator, response: ServerResponse, body: Buffer): void {
  const found = locator.locate(locateRequest.decode(body.subarray(frameHeadBytes)));
  const whole =
    found === undefined ? grpcNotFound : Buffer.concat([messageFrame(locateResponse.encode(found)), grpcOk]);
  response.writeHead(200, { ...webHeaders, 'content-length': whole.length }).end(whole);
}

function messageFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeadBytes);
  return frame;
}

function trailersFrame(status: number): Buffer {
  const text = Buffer.from(`grpc-status: ${status}\r\n`);
  const frame = messageFrame(text);
  frame[0] = trailersFlag;
  return frame;
}

export interface HttpCallerOptions {
  readonly connections: number;
  /** False: each call opens a connection of its own. */
  readonly keepAlive: boolean;
}

export function callJson(port: number, options: HttpCallerOptions): Caller {
  const pool = poolFor(port, options);
  return {
    locate: async (request) => {
      const body = JSON.stringify(request);
      const answer = await pool.request({ ...jsonRequest, body, reset: !options.keepAlive });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}: ${text}`);
      return JSON.parse(text) as LocateResponse;
    },
    close: () => pool.close(),
  };
}
const jsonRequest = { method: 'POST', path: jsonPath, headers: { 'content-type': 'application/json' } } as const;

export function callWeb(port: number, options: HttpCallerOptions): Caller {
  const pool = poolFor(port, options);
  return {
    locate: async (request) => {
      const body = messageFrame(locateRequest.encode(request));
      const answer = await pool.request({ ...webRequest, body, reset: !options.keepAlive });
      return readWeb(Buffer.from(await answer.body.arrayBuffer()));
    },
    close: () => pool.close(),
  };
}
const webRequest = { method: 'POST', path: locatePath, headers: webHeaders } as const;

function poolFor(port: number, { connections }: HttpCallerOptions): Pool {
  return new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 });
}

function readWeb(body: Buffer): LocateResponse {
  const messageBytes = body.readUInt32BE(1);
  const trailers = body[0] === trailersFlag ? body : body.subarray(frameHeadBytes + messageBytes);
  const status = /grpc-status: (\d+)/.exec(trailers.toString('latin1'))?.[1];
  if (status !== '0') throw new Error(`grpc-status ${status}`);
  return locateResponse.decode(body.subarray(frameHeadBytes, frameHeadBytes + messageBytes));
}
