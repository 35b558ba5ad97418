/** The service of proto/cairn/lab/v1/locate.proto: its messages, and the one implementation that every transport serves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { projectRoot } from '../../tool/project-root.ts';

export interface LocateRequest {
  readonly path: string;
  readonly chunkIndex: number;
}

export interface LocateResponse {
  readonly handle: number;
  readonly version: number;
  readonly length: number;
  readonly replicas: readonly { readonly server: number; readonly address: string; readonly rack: string }[];
}

export interface LocateCall {
  readonly id: number;
  readonly request: LocateRequest;
}

export interface LocateAnswer {
  readonly id: number;
  readonly response: LocateResponse;
}

/** Bytes of one kind of message. */
export interface MessageCodec<T> {
  encode(message: T): Buffer;
  decode(bytes: Uint8Array): T;
}

const protoFile = join(projectRoot, 'proto/cairn/lab/v1/locate.proto');
const { root } = protobuf.parse(readFileSync(protoFile, 'utf8'));

function codec<T>(name: string): MessageCodec<T> {
  const type = root.lookupType(`cairn.lab.v1.${name}`);
  return {
    encode: (message) => type.encode(message as object).finish() as Buffer,
    decode: (bytes) => type.decode(bytes) as unknown as T,
  };
}

export const locateRequest = codec<LocateRequest>('LocateRequest');
export const locateResponse = codec<LocateResponse>('LocateResponse');
export const locateCall = codec<LocateCall>('LocateCall');
export const locateAnswer = codec<LocateAnswer>('LocateAnswer');
export const locatePath = '/cairn.lab.v1.Locator/Locate';
export const locateManyPath = '/cairn.lab.v1.Locator/LocateMany';

export const fileCount = 10_000;
const copies = 3;

export function pathOf(file: number): string {
  return `/logs/2024/region-${file % 7}/service-${file % 31}/part-${file}`;
}

/** The calling side of a transport. */
export interface Caller {
  /** Rejects when the call fails. */
  locate(request: LocateRequest): Promise<LocateResponse>;
  close(): Promise<void>;
}

/** A table of chunks in memory: as cheap as an answer can be that is not always the same. */
export class Locator {
  readonly #files = new Map<string, LocateResponse>();

  constructor() {
    for (let file = 0; file < fileCount; file++) this.#files.set(pathOf(file), responseFor(file));
  }

  /** Undefined for a file that is not there. */
  locate({ path, chunkIndex }: LocateRequest): LocateResponse | undefined {
    return chunkIndex === 0 ? this.#files.get(path) : undefined;
  }
}

function responseFor(file: number): LocateResponse {
  const replicas = Array.from({ length: copies }, (_, i) => {
    const server = ((file + i * 11) % 40) + 1;
    return { server, address: `10.20.30.${server}:7080`, rack: `rack-${server % 5}` };
  });
  return { handle: file + 1, version: (file % 9) + 1, length: 64 * 1024 * 1024 - file, replicas };
}
