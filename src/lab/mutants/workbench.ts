/** A temporary copy of the sources, in which one mutant at a time is applied and built. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Edit, Mutant } from './mutant.ts';

/** Besides `src`: what the tests need to run in the copy. */
const alsoNeeded = [
  'package.json',
  'vitest.config.ts',
  'scripts/property-seed.ts',
  'tsconfig.json',
  'tsconfig.base.json',
  'tsconfig.pure.json',
  'tsconfig.node.json',
  'tsconfig.browser.json',
];

export class Workbench {
  readonly root: string;
  /** The simulator as it is. */
  readonly original: string;

  private constructor(root: string) {
    this.root = root;
    this.original = join(root, 'original.mjs');
  }

  static async open(repository: string): Promise<Workbench> {
    const root = mkdtempSync(join(tmpdir(), 'cairn-mutants-'));
    const bench = new Workbench(root);
    cpSync(join(repository, 'src'), join(root, 'src'), { recursive: true });
    for (const file of alsoNeeded) cpSync(join(repository, file), join(root, file));
    symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
    mkdirSync(join(root, 'out'));
    await bench.#bundle(bench.original);
    return bench;
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Runs something in a copy with the mutant in it. @throws Error when the mutant no longer fits the sources, or does not build */
  async withMutant<T>(mutant: Mutant, run: (simulator: string) => Promise<T>): Promise<T> {
    const files = [...new Set(mutant.edits.map(({ file }) => file))];
    const before = new Map(files.map((file) => [file, readFileSync(join(this.root, file), 'utf8')]));
    try {
      for (const [file, source] of mutated(mutant, before)) writeFileSync(join(this.root, file), source);
      const simulator = join(this.root, 'out', `${mutant.id}.mjs`);
      await this.#bundle(simulator);
      return await run(simulator);
    } finally {
      for (const [file, source] of before) writeFileSync(join(this.root, file), source);
    }
  }

  async #bundle(outfile: string): Promise<void> {
    await build({
      absWorkingDir: this.root,
      entryPoints: ['src/lab/simulator/main.ts'],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      logLevel: 'silent',
    });
  }
}

/** The sources with all edits of a mutant. @throws Error that says which edit no longer fits */
export function mutated({ id, edits }: Mutant, sources: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const changed = new Map(sources);
  for (const edit of edits) changed.set(edit.file, withEdit(id, changed.get(edit.file)!, edit));
  return changed;
}

function withEdit(id: string, source: string, { file, find, replace }: Edit): string {
  const parts = source.split(find);
  if (parts.length === 2) return parts.join(replace);
  const how = parts.length === 1 ? 'is not there any more' : `is there ${parts.length - 1} times`;
  throw new Error(`mutant ${id}: in ${file} this ${how}:\n${find}`);
}
