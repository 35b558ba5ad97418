/** Where this project lies, whether the lab runs from a bundle or from its sources. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = rootAbove(dirname(fileURLToPath(import.meta.url)));
/** The program that the lab's own processes run; see compare/process/main.ts. */
export const processProgram = join(projectRoot, 'dist/lab-process.js');
/** What a thread of the simulator runs; see simulator/seed-worker.ts. */
export const seedWorkerProgram = join(projectRoot, 'dist/seed-worker.js');

function rootAbove(dir: string): string {
  if (existsSync(join(dir, 'package.json'))) return dir;
  const parent = dirname(dir);
  if (parent === dir) throw new Error('the lab runs in a clone of the project; there is no package.json above it');
  return rootAbove(parent);
}
