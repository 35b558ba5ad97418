/** Runs `cairn` as a shell would, and tells everything it did. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const program = fileURLToPath(new URL('../../../bin/cairn', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** `input` undefined: stdin is empty. */
export function begin(args: readonly string[], { input, cwd, env }: RunOptions = {}): Running {
  const child = spawn(process.execPath, [program, ...args], { cwd, env: { ...process.env, ...env }, stdio: 'pipe' });
  const startedAt = performance.now();
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => out.push(piece));
  child.stderr.on('data', (piece: Buffer) => err.push(piece));
  child.stdin.on('error', () => undefined); // it may end without reading all
  child.stdin.end(input ?? '');
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const text = (pieces: readonly Buffer[]) => Buffer.concat(pieces).toString('utf8');
      resolve({ code, signal, stdout: text(out), stderr: text(err), ms: performance.now() - startedAt });
    });
  });
  return { child, ended };
}

export function run(args: readonly string[], options?: RunOptions): Promise<Ran> {
  return begin(args, options).ended;
}

export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`within ${withinMs} ms it did not come to pass that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
