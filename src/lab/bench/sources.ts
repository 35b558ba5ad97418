/** What readers read, made ready before their time begins to count: files that no cache holds, files that one holds, the bare hop. */
import { closeSync, copyFileSync, fsyncSync, openSync, truncateSync } from 'node:fs';
import type { CairnClient } from '../../system/client/client.ts';
import { BareHop } from './bare-hop.ts';
import { type Bench, connect, putFile, readToNowhere, removeFile } from './workloads.ts';

/** A chunkserver keeps in its page cache what is read a second time; the third reading comes from there. */
const readingsToWarm = 2;

/** A file, and a client that has read it more than once: it reads each chunk from the same server again. */
export interface WarmFile {
  readonly path: string;
  readonly client: CairnClient;
}

/** The share of one of several clients at once. */
export interface Part {
  readonly bench: Bench;
  readonly warm: WarmFile;
}

export class Sources {
  readonly #bench: Bench;
  /** The built benchmark itself. */
  readonly #program: string;
  #fresh: string | undefined;
  #warm: WarmFile | undefined;
  #parts: Part[] = [];
  #hop: BareHop | undefined;

  constructor(bench: Bench, program: string) {
    this.#bench = bench;
    this.#program = program;
  }

  /** A file that was written and never read: it went to the disks past the page cache. */
  async makeFresh(): Promise<void> {
    if (this.#fresh !== undefined) await removeFile(this.#bench, this.#fresh);
    this.#fresh = await putFile(this.#bench);
  }

  get fresh(): string {
    return known(this.#fresh);
  }

  async makeWarm(): Promise<void> {
    this.#warm ??= await warmed(this.#bench);
  }

  get warm(): WarmFile {
    return known(this.#warm);
  }

  /** The file's bytes in so many equal parts, each a file of its own here, and one in the cluster. */
  async makeParts(count: number): Promise<void> {
    for (let n = this.#parts.length; n < count; n++) {
      const fileBytes = Math.floor(this.#bench.fileBytes / count);
      const file = `${this.#bench.file}-${n}`;
      copyFileSync(this.#bench.file, file);
      truncateSync(file, fileBytes);
      flush(file);
      const bench = { ...this.#bench, file, fileBytes };
      this.#parts.push({ bench, warm: await warmed(bench) });
    }
  }

  get parts(): readonly Part[] {
    return this.#parts;
  }

  async startHop(): Promise<void> {
    this.#hop ??= await BareHop.start(this.#program, this.#bench.file);
  }

  get hop(): BareHop {
    return known(this.#hop);
  }

  /** Processes of ours that serve. */
  get pids(): readonly number[] {
    return this.#hop === undefined ? [] : [this.#hop.pid];
  }

  async close(): Promise<void> {
    await this.#warm?.client.close();
    for (const { warm } of this.#parts) await warm.client.close();
    await this.#hop?.stop();
  }
}

async function warmed(bench: Bench): Promise<WarmFile> {
  const warm = { path: await putFile(bench), client: await connect(bench) };
  for (let i = 0; i < readingsToWarm; i++) await readToNowhere(bench, warm);
  return warm;
}

/** What lies in memory alone would be written in the middle of a measurement. */
function flush(file: string): void {
  const fd = openSync(file, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function known<T>(source: T | undefined): T {
  if (source === undefined) throw new Error('this source was not made ready');
  return source;
}
