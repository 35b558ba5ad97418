/**
 * What Node gives for one hop with checksums and nothing else: a process that reads a file and sums it up block by block, a loopback
 * connection, and a process that sums up what comes. The yardstick for reads.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, openSync, read } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';

const unitBytes = 1024 * 1024;
const blockBytes = 64 * 1024;
/** Units that are read, summed or sent at a time. */
const unitsMax = 4;
const receiveBytes = 256 * 1024;

/** The sending process: prints its port, and sends the file to everyone who connects. */
export function serveFile(path: string): void {
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  const server = createServer((socket) => void send(fd, size, socket));
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
}

async function send(fd: number, size: number, socket: Socket): Promise<void> {
  const free = Array.from({ length: unitsMax }, () => Buffer.allocUnsafeSlow(unitBytes));
  let wake: (() => void) | undefined;
  const begin = async (at: number) => {
    while (free.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const unit = free.pop()!;
    return { unit, bytes: await readAt(fd, unit.subarray(0, Math.min(unitBytes, size - at)), at) };
  };
  let next = begin(0);
  for (let at = 0; at < size; at += unitBytes) {
    const { unit, bytes } = await next;
    if (at + unitBytes < size) next = begin(at + unitBytes);
    for (let block = 0; block < bytes; block += blockBytes) crc32(unit.subarray(block, block + blockBytes));
    socket.write(unit.subarray(0, bytes), () => {
      free.push(unit);
      wake?.();
    });
  }
  socket.end();
}

function readAt(fd: number, into: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, 0, into.length, at, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });
}

export class BareHop {
  readonly #server: ChildProcess;
  readonly #port: number;

  private constructor(server: ChildProcess, port: number) {
    this.#server = server;
    this.#port = port;
  }

  /** @param program this benchmark, which serves a file when it is told so. */
  static async start(program: string, file: string): Promise<BareHop> {
    const server = spawn(process.execPath, [program, '--serve-file', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: server.stdout! }), 'line')) as [string];
    return new BareHop(server, Number(line));
  }

  get pid(): number {
    return this.#server.pid!;
  }

  /** MB/s of the whole file. */
  async run(fileBytes: number): Promise<number> {
    const buffer = Buffer.allocUnsafeSlow(receiveBytes);
    let bytes = 0;
    let sum = 0;
    const callback = (count: number): boolean => {
      bytes += count;
      sum = crc32(buffer.subarray(0, count), sum);
      return true;
    };
    const startedAt = performance.now();
    const socket = connect({ host: '127.0.0.1', port: this.#port, onread: { buffer, callback } });
    await once(socket, 'close');
    if (bytes !== fileBytes) throw new Error(`${bytes} of ${fileBytes} bytes came over the bare hop`);
    return bytes / 1000 / (performance.now() - startedAt);
  }

  async stop(): Promise<void> {
    const ended = once(this.#server, 'exit');
    this.#server.kill();
    await ended;
  }
}
