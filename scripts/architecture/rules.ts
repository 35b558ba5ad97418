/** What holds between the files of `src/`. Each rule returns one line per violation, `file:line: what is wrong`. */
import { closedFolders, type Layer, layers } from './layers.ts';
import { type ImportSite, lineAt, scanSource } from './scan-source.ts';

export interface Module {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly code: string;
  readonly imports: readonly ImportSite[];
}

/** By path. */
export type Modules = ReadonlyMap<string, Module>;
export type Rule = (modules: Modules) => string[];

/** @param sources text by path. */
export function readModules(sources: ReadonlyMap<string, string>): Modules {
  return new Map([...sources].map(([path, text]) => [path, { path, ...scanSource(text) }]));
}

// ---------------------------------------------------------------- directions

export const everyFileBelongsToALayer: Rule = (modules) =>
  [...modules.keys()]
    .filter((path) => layerOf(path) === undefined && !isTest(path))
    .map((path) => `${path}:1: belongs to no layer`);

/** Tests may arrange what they need from other layers, in the simulated world above all. */
export const layersImportOnlyDownwards: Rule = (modules) =>
  [...modules.values()].flatMap((module) => {
    const layer = layerOf(module.path);
    if (layer === undefined || isTest(module.path)) return [];
    return importedFiles(module)
      .filter(([site, target]) => !mayImport(layer, site, target))
      .map(([site, target]) => `${module.path}:${site.line}: ${layer.folder} may not import ${target} (${site.kind})`);
  });

export const nobodyImportsAppsOrLab: Rule = (modules) =>
  [...modules.values()].flatMap((module) =>
    importedFiles(module)
      .filter(([site, target]) => {
        const closed = closedFolders.find((folder) => isIn(target, folder));
        if (closed === undefined || isIn(module.path, closed)) return false;
        const isLazyByTable = site.kind === 'lazy' && layerOf(module.path)?.mayImportLazily?.includes(closed) === true;
        return !isLazyByTable;
      })
      .map(([site, target]) => `${module.path}:${site.line}: imports ${target}, which nobody may`),
  );

export const onlyTestsImportTests: Rule = (modules) =>
  [...modules.values()]
    .filter((module) => !isTest(module.path))
    .flatMap((module) =>
      importedFiles(module)
        .filter(([, target]) => isTest(target))
        .map(([site, target]) => `${module.path}:${site.line}: imports ${target}, which is for tests`),
    );

export const importsNameFilesThatExist: Rule = (modules) =>
  [...modules.values()].flatMap((module) =>
    importedFiles(module)
      .filter(([, target]) => isIn(target, 'src') && !modules.has(target))
      .map(([site, target]) => `${module.path}:${site.line}: imports ${target}, which does not exist`),
  );

function mayImport(layer: Layer, site: ImportSite, target: string): boolean {
  const among = (folders: readonly string[]) => folders.some((folder) => isIn(target, folder));
  if (isIn(target, layer.folder) || among(layer.mayImport)) return true;
  if (site.kind === 'type') return among(layer.mayImportTypes ?? []);
  return site.kind === 'lazy' && among(layer.mayImportLazily ?? []);
}

// ---------------------------------------------------------------- the outer world

export const onlyNodeLayersTouchNodeAndPackages: Rule = (modules) =>
  pureModules(modules).flatMap((module) =>
    module.imports
      .filter(({ specifier }) => specifier === undefined || !isRelative(specifier))
      .map(({ specifier, line }) => `${module.path}:${line}: imports ${specifier ?? 'a computed name'}`),
  );

/** A name counts when it is used as a global: not a property (`.process`), not a declaration (`process(…) {`). */
const notAProperty = '(?<![\\w$#]|(?<!\\.\\.)\\.)';
const bannedGlobals: readonly RegExp[] = [
  new RegExp(`${notAProperty}(?:Date\\s*\\.\\s*now|Math\\s*\\.\\s*random)\\b`, 'g'),
  new RegExp(`${notAProperty}new\\s+Date\\s*(?:\\(\\s*\\)|(?![\\w$\\s(]))`, 'g'),
  new RegExp(`${notAProperty}(?:performance|process|Buffer|console)(?=\\s*(?:\\?\\.|\\.|\\[))`, 'g'),
  new RegExp(`${notAProperty}(?:setTimeout|setInterval|setImmediate|queueMicrotask)\\b`, 'g'),
  new RegExp(`${notAProperty}globalThis\\b`, 'g'),
];

export const pureLayersReadNoGlobals: Rule = (modules) =>
  pureModules(modules).flatMap((module) =>
    bannedGlobals.flatMap((pattern) =>
      [...module.code.matchAll(pattern)].map(
        (match) => `${module.path}:${lineAt(module.code, match.index)}: uses the global ${match[0].trim()}`,
      ),
    ),
  );

// ---------------------------------------------------------------- names and cycles

const namesThatSayNothing = new Set(['util', 'utils', 'common', 'helper', 'helpers', 'misc']);

export const namesSayWhatIsInside: Rule = (modules) =>
  [...modules.keys()]
    .filter((path) => path.split('/').some((part) => namesThatSayNothing.has(part.replace(/\..*$/, ''))))
    .map((path) => `${path}:1: a name that does not say what is inside`);

/** Cycles of types count as well: files that know each other can neither be read nor moved alone. */
export const filesImportWithoutCycles: Rule = (modules) => {
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): void => {
    if (state.get(path) === 'open') cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (state.has(path)) return;
    state.set(path, 'open');
    trail.push(path);
    const module = modules.get(path);
    for (const target of new Set(module === undefined ? [] : importedFiles(module).map(([, file]) => file)))
      visit(target);
    trail.pop();
    state.set(path, 'done');
  };
  for (const path of modules.keys()) visit(path);
  return cycles;
};

// ---------------------------------------------------------------- paths

function pureModules(modules: Modules): Module[] {
  return [...modules.values()].filter(({ path }) => layerOf(path)?.world === 'pure' && !isTest(path));
}

/** The relative imports of a module with the paths they lead to. */
function importedFiles(module: Module): [ImportSite, string][] {
  return module.imports.flatMap((site) =>
    site.specifier !== undefined && isRelative(site.specifier)
      ? [[site, resolveFrom(module.path, site.specifier)] satisfies [ImportSite, string]]
      : [],
  );
}

function resolveFrom(path: string, specifier: string): string {
  const parts = path.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function layerOf(path: string): Layer | undefined {
  return layers.find(({ folder }) => isIn(path, folder));
}

function isIn(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

function isRelative(specifier: string): boolean {
  return specifier.startsWith('.');
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.endsWith('.test-support.ts');
}
