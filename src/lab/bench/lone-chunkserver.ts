/** A chunkserver beside those of a local cluster that nobody starts again: killed, it stays away. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { LocalCluster } from '../cluster/local-cluster.ts';

export class LoneChunkserver {
  readonly id: number;
  readonly #child: ChildProcess;

  private constructor(id: number, child: ChildProcess) {
    this.id = id;
    this.#child = child;
  }

  /** It is told what chunkserver 1 is told. */
  static start(program: string, cluster: LocalCluster, id: number): LoneChunkserver {
    const dir = join(cluster.dir, `chunkserver-${id}`);
    mkdirSync(dir);
    const told = parse(readFileSync(join(cluster.dir, 'chunkserver-1', 'cairn.yaml'), 'utf8')) as object;
    const node = { id, dir: join(dir, 'data'), address: `127.0.0.1:${cluster.portBase + 9 + id}`, rack: 'default' };
    const config = join(dir, 'cairn.yaml');
    writeFileSync(config, stringify({ ...told, node }));
    const child = spawn(process.execPath, [program, 'chunkserver', '--config', config], { stdio: 'ignore' });
    return new LoneChunkserver(id, child);
  }

  /** kill -9; for good. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
