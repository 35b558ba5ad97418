// Bundles the programs and the library into dist/: one ES module per entry, shared chunks beside them.
// Types are left to `tsc -b`, so that a build takes a fraction of a second.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow, root } from './files.mjs';

/** Bundle in dist/ → source. */
const entries = {
  cli: 'src/apps/cli/main.ts',
  client: 'src/apps/library/client.ts',
  consensus: 'src/apps/library/consensus.ts',
  engines: 'src/apps/library/engines.ts',
  bench: 'src/lab/bench/main.ts',
  'lab-process': 'src/lab/compare/process/main.ts',
  simulator: 'src/lab/simulator/main.ts',
  'seed-worker': 'src/lab/simulator/seed-worker.ts',
  mutants: 'src/lab/mutants/main.ts',
  kills: 'src/lab/kill-rounds/main.ts',
};

/** What runs in the pages of the lab's reports, with the chart library in it. */
const pageEntries = {
  'report-page': 'src/lab/compare/report/browser/draw.ts',
};

const dist = join(root, 'dist');
const stampPath = join(dist, 'build.stamp');

/** A program that runs loads its chunks lazily, so those of an earlier build stay for a while. */
const staleChunkKeepMs = 60 * 60_000;

/** Whether dist/ was built from exactly the sources that are here. */
export function isBuilt() {
  return existsSync(stampPath) && readFileSync(stampPath, 'utf8') === sourceHash();
}

/** @returns {Promise<void>} @throws when a source does not compile; dist/ is untouched then. */
export async function build() {
  const hash = sourceHash();
  const { build: bundle } = await import('esbuild');
  const { outputFiles } = await bundle({
    absWorkingDir: root,
    entryPoints: present(entries),
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    legalComments: 'none',
    define: { CAIRN_VERSION: JSON.stringify(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version) },
    write: false,
    logLevel: 'warning',
  });
  outputFiles.push(...(await bundlePages(bundle)));
  const chunksFirst = outputFiles.toSorted((a, b) => Number(isChunk(b.path)) - Number(isChunk(a.path)));
  for (const file of chunksFirst) replaceFile(file.path, file.contents);
  removeStale(new Set(outputFiles.map((file) => relative(root, file.path).split(sep).join('/'))));
  replaceFile(stampPath, hash);
}

/** @returns {Promise<import('esbuild').OutputFile[]>} a script and a style for each page, whole in themselves */
async function bundlePages(/** @type {typeof import('esbuild').build} */ bundle) {
  const { outputFiles } = await bundle({
    absWorkingDir: root,
    entryPoints: present(pageEntries),
    outdir: 'dist',
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    write: false,
    logLevel: 'warning',
  });
  return outputFiles;
}

/** Those whose source is here: an installed package, or a part of a clone, may lack some. */
function present(/** @type {Record<string, string>} */ named) {
  return Object.entries(named)
    .filter(([, source]) => existsSync(join(root, source)))
    .map(([out, source]) => ({ in: source, out }));
}

function sourceHash() {
  const inputs = [...filesBelow('src', isShipped), 'scripts/build.mjs', 'package.json', 'package-lock.json'];
  const hash = createHash('sha256').update(process.version);
  for (const path of inputs) hash.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

function isShipped(/** @type {string} */ path) {
  return path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.endsWith('.test-support.ts');
}

function isChunk(/** @type {string} */ path) {
  return dirname(path) !== dist;
}

/** Readers see the old file or the new one, never a part. */
function replaceFile(/** @type {string} */ path, /** @type {Uint8Array | string} */ contents) {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}.tmp`;
  writeFileSync(fresh, contents);
  renameSync(fresh, path);
}

function removeStale(/** @type {Set<string>} */ current) {
  const isBundle = (/** @type {string} */ path) => /^dist\/(chunks\/)?[^/]+\.js(\.map)?$/.test(path);
  for (const path of filesBelow('dist', isBundle)) {
    if (current.has(path)) continue;
    const full = join(root, path);
    if (!isChunk(full) || Date.now() - statSync(full).mtimeMs > staleChunkKeepMs) rmSync(full, { force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
