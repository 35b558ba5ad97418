import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const ignoredFolders = new Set(['node_modules', 'dist', 'coverage', '.git', '.cairn']);

/**
 * Lists the files below a folder of the repository, sorted, as paths from the root with forward slashes.
 * What git ignores by folder is skipped. A folder that does not exist has no files.
 * @param {string} folder
 * @param {(path: string) => boolean} accepts
 * @returns {string[]}
 */
export function filesBelow(folder, accepts) {
  const found = /** @type {string[]} */ ([]);
  const walk = (/** @type {string} */ path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) {
        if (!ignoredFolders.has(entry.name)) walk(child);
      } else if (entry.isFile()) {
        const name = relative(root, child).split(sep).join('/');
        if (accepts(name)) found.push(name);
      }
    }
  };
  const start = join(root, folder);
  if (existsSync(start)) walk(start);
  return found.sort();
}
