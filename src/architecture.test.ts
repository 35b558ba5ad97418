import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  everyFileBelongsToALayer,
  filesImportWithoutCycles,
  importsNameFilesThatExist,
  layersImportOnlyDownwards,
  type Modules,
  namesSayWhatIsInside,
  nobodyImportsAppsOrLab,
  onlyNodeLayersTouchNodeAndPackages,
  onlyTestsImportTests,
  pureLayersReadNoGlobals,
  type Rule,
  readModules,
} from '../scripts/architecture/rules.ts';
import { scanSource } from '../scripts/architecture/scan-source.ts';
import { filesBelow, root } from '../scripts/files.mjs';

const paths = filesBelow('src', (path) => path.endsWith('.ts'));
const source = readModules(new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')])));

/** A source tree in memory: text by path, as in the repository. */
function tree(files: Record<string, string>): Modules {
  return readModules(new Map(Object.entries(files)));
}

interface Claim {
  readonly claim: string;
  readonly rule: Rule;
  readonly allowed: Record<string, string>;
  /** Trees that the rule must refuse, each with one violation. */
  readonly refused: readonly Record<string, string>[];
}

const claims: readonly Claim[] = [
  {
    claim: 'every file belongs to a layer',
    rule: everyFileBelongsToALayer,
    allowed: { 'src/core/base/a.ts': '', 'src/architecture.test.ts': '' },
    refused: [{ 'src/core/a.ts': '' }, { 'src/system/other/a.ts': '' }, { 'src/main.ts': '' }],
  },
  {
    claim: 'layers import only what the table allows',
    rule: layersImportOnlyDownwards,
    allowed: {
      'src/core/base/a.ts': "import { b } from './b.ts';",
      'src/system/rsm/a.ts': "import '../../core/consensus/a.ts'; import { w } from '../storage/wal.ts';",
      'src/platform/node/a.ts': "import type { Store } from '../../system/storage/store.ts';",
      'src/apps/cli/a.ts': "const lab = await import('../../lab/compare/main.ts');",
      'src/core/base/a.test.ts': "import { simulate } from '../../platform/sim/a.ts';",
    },
    refused: [
      { 'src/core/base/a.ts': "import { b } from '../consensus/b.ts';" },
      { 'src/core/consensus/a.ts': "import type { B } from '../protocol/b.ts';" },
      { 'src/core/protocol/a.ts': "export * from '../../system/rpc/b.ts';" },
      { 'src/system/storage/a.ts': "export type { B } from '../rsm/b.ts';" },
      { 'src/system/master/a.ts': "import { b } from '../chunkserver/b.ts';" },
      { 'src/system/client/a.ts': "import { b } from '../storage/b.ts';" },
      { 'src/system/chunkserver/a.ts': "const b = await import('../master/b.ts');" },
      { 'src/platform/node/a.ts': "import { b } from '../../system/storage/b.ts';" },
      { 'src/platform/sim/a.ts': "import { b } from '../node/b.ts';" },
      { 'src/apps/cli/a.ts': "import { b } from '../../lab/b.ts';" },
      { 'src/lab/bench/a.ts': "import { b } from '../../apps/cli/b.ts';" },
    ],
  },
  {
    claim: 'nobody imports apps or lab, tests included',
    rule: nobodyImportsAppsOrLab,
    allowed: {
      'src/apps/cli/a.ts': "import { b } from './b.ts'; await import('../../lab/a.ts');",
      'src/lab/a.ts': "import { b } from './b.ts';",
    },
    refused: [
      { 'src/system/client/a.test.ts': "import { b } from '../../apps/cli/b.ts';" },
      { 'src/platform/sim/a.test-support.ts': "import type { B } from '../../lab/simulator/b.ts';" },
      { 'src/lab/a.ts': "await import('../apps/cli/b.ts');" },
    ],
  },
  {
    claim: 'only tests import tests and what supports them',
    rule: onlyTestsImportTests,
    allowed: { 'src/core/base/a.test.ts': "import { b } from './b.test-support.ts';" },
    refused: [{ 'src/core/base/a.ts': "import { b } from './b.test-support.ts';" }],
  },
  {
    claim: 'imports name files that exist',
    rule: importsNameFilesThatExist,
    allowed: { 'src/core/base/a.ts': "import { b } from './b.ts';", 'src/core/base/b.ts': '' },
    refused: [
      { 'src/core/base/a.ts': "import { b } from './b.ts';" },
      { 'src/core/base/a.ts': "import { b } from './b';", 'src/core/base/b.ts': '' },
    ],
  },
  {
    claim: 'node:* and packages stay in platform/node, apps, lab and tests',
    rule: onlyNodeLayersTouchNodeAndPackages,
    allowed: {
      'src/platform/node/a.ts': "import { open } from 'lmdb'; import 'node:fs';",
      'src/core/base/a.test.ts': "import { test } from 'vitest';",
      'src/core/base/a.ts': "// import 'node:fs'\nconst text = `import 'node:fs'`;",
    },
    refused: [
      { 'src/core/base/a.ts': "import { readFileSync } from 'node:fs';" },
      { 'src/system/storage/a.ts': "import type { RootDatabase } from 'lmdb';" },
      { 'src/platform/sim/a.ts': "import 'fs';" },
      { 'src/system/rpc/a.ts': "const net = await import('node:net');" },
      { 'src/system/rpc/a.ts': 'const net = await import(name);' },
      { 'src/system/rpc/a.ts': 'const word = `${`}`}`; export { createServer } from "node:net";' },
    ],
  },
  {
    claim: 'core, system and platform/sim use no global that reads the world',
    rule: pureLayersReadNoGlobals,
    allowed: {
      'src/core/base/a.ts': "// Date.now()\nconst s = 'Math.random()'; /* setTimeout */ const r = /process.exit/;",
      'src/core/consensus/a.ts': 'env.process.name; this.console.log(); new Date(0); class A { process(x: X) {} }',
      'src/platform/node/a.ts': 'setTimeout(f, Date.now()); process.exit(); Buffer.alloc(1);',
      'src/system/rpc/a.test.ts': 'console.log(Date.now());',
    },
    refused: [
      'Date.now()',
      'new Date()',
      'const d = new Date;',
      'Math.random()',
      'performance.now()',
      'setTimeout(f, 1)',
      'const later = setInterval;',
      'setImmediate(f)',
      'queueMicrotask(f)',
      'const { env } = { ...process.env };',
      "Buffer.from('a')",
      'console.log(1)',
      'globalThis.fetch',
      'const text = `${Date.now()}`;',
    ].map((text, index) => ({ [`src/${['core/base', 'system/rsm', 'platform/sim'][index % 3]}/a.ts`]: text })),
  },
  {
    claim: 'files and folders say what is inside',
    rule: namesSayWhatIsInside,
    allowed: { 'src/core/base/common-prefix.ts': '' },
    refused: ['utils/a', 'common/a', 'helpers/a', 'misc/a', 'base/utils'].map((name) => ({
      [`src/core/${name}.ts`]: '',
    })),
  },
  {
    claim: 'files import each other without cycles, of types too',
    rule: filesImportWithoutCycles,
    allowed: {
      'src/core/base/a.ts': "import './b.ts'; import './c.ts';",
      'src/core/base/b.ts': "import './c.ts';",
      'src/core/base/c.ts': '',
    },
    refused: [
      { 'src/core/base/a.ts': "import './a.ts';" },
      {
        'src/core/base/a.ts': "import { b } from './b.ts';",
        'src/core/base/b.ts': "export * from './c.ts';",
        'src/core/base/c.ts': "const a = await import('./a.ts');",
      },
      {
        'src/core/base/a.ts': "import type { B } from './b.ts';",
        'src/core/base/b.ts': "import { type A } from './a.ts';",
      },
    ],
  },
];

describe.each(claims.map((each) => [each.claim, each] as const))('%s', (_claim, { rule, allowed, refused }) => {
  test('in src/', () => {
    expect(rule(source)).toEqual([]);
  });

  test('which a tree that keeps to it passes', () => {
    expect(rule(tree(allowed))).toEqual([]);
  });

  test.each(refused.map((files) => [Object.values(files).join(' | ') || Object.keys(files).join(), files] as const))(
    'and which refuses %s',
    (_text, files) => {
      expect(rule(tree(files))).toHaveLength(1);
    },
  );
});

test('the source tree was found', () => {
  expect(paths).toContain('src/architecture.test.ts');
  expect(paths).toContain('src/core/base/env.ts');
});

test('the scanner finds every form of import with its line, and none in comments, strings or regular expressions', () => {
  const text = [
    "import './bare.ts';",
    "import fallback, { a } from './default.ts';",
    "import * as all from './all.ts';",
    "import type { T } from './type.ts';",
    "import { type U } from './inline-type.ts';",
    'import {',
    '  type V,',
    '  b,',
    "} from './several-lines.ts';",
    "export { c } from './export.ts';",
    "export type { W } from './export-type.ts';",
    "export * as d from './export-all.ts';",
    "const e = await import('./lazy.ts');",
    "const f = 1 / 2; /* import './no.ts' */ const g = /'import/; // import './no.ts'",
    'const h = `${{ i: "}" }.i} import "./no.ts"`; const j = "import \'./no.ts\'";',
    "import k from './after.ts';",
  ].join('\n');
  const found = scanSource(text).imports.map(({ specifier, kind, line }) => `${line} ${kind} ${specifier}`);
  expect(found).toEqual([
    '1 value ./bare.ts',
    '2 value ./default.ts',
    '3 value ./all.ts',
    '4 type ./type.ts',
    '5 type ./inline-type.ts',
    '6 value ./several-lines.ts',
    '10 value ./export.ts',
    '11 type ./export-type.ts',
    '12 value ./export-all.ts',
    '13 lazy ./lazy.ts',
    '16 value ./after.ts',
  ]);
});

test('the scanner keeps every character in its place', () => {
  for (const path of paths) {
    const text = readFileSync(join(root, path), 'utf8');
    const { code } = scanSource(text);
    expect(code.length, path).toBe(text.length);
    expect(code.split('\n').length, path).toBe(text.split('\n').length);
  }
});
