/** The layers of `src/` and what each of them may touch: the one table behind the architecture test. */

export interface Layer {
  readonly folder: string;
  /** Folders of the layers it may import, besides itself. */
  readonly mayImport: readonly string[];
  /** Folders of which it may import types only. */
  readonly mayImportTypes?: readonly string[];
  /** Folders it may load with `import(…)` only, when they are asked for. */
  readonly mayImportLazily?: readonly string[];
  /** `pure`: no `node:*`, no packages, no global that reads the world. */
  readonly world: 'pure' | 'node';
}

const core = ['src/core/base', 'src/core/consensus', 'src/core/protocol'];
const system = ['storage', 'rpc', 'rsm', 'master', 'chunkserver', 'client'].map((name) => `src/system/${name}`);
const platform = ['src/platform/node', 'src/platform/sim'];

export const layers: readonly Layer[] = [
  pure('src/core/base', []),
  pure('src/core/consensus', ['src/core/base']),
  pure('src/core/protocol', ['src/core/base']),

  pure('src/system/storage', ['src/core/base']),
  pure('src/system/rpc', ['src/core/base', 'src/core/protocol']),
  pure('src/system/rsm', ['src/core/base', 'src/core/consensus', 'src/system/storage']),
  pure('src/system/master', [
    'src/core/base',
    'src/core/protocol',
    'src/system/storage',
    'src/system/rpc',
    'src/system/rsm',
  ]),
  pure('src/system/chunkserver', ['src/core/base', 'src/core/protocol', 'src/system/storage', 'src/system/rpc']),
  pure('src/system/client', ['src/core/base', 'src/core/protocol', 'src/system/rpc']),

  { ...pure('src/platform/sim', ['src/core/base']), mayImportTypes: ['src/system/storage'] },
  {
    folder: 'src/platform/node',
    mayImport: ['src/core/base'],
    mayImportTypes: ['src/system/storage'],
    world: 'node',
  },

  {
    folder: 'src/apps',
    mayImport: [...core, ...system, ...platform],
    mayImportLazily: ['src/lab'],
    world: 'node',
  },
  { folder: 'src/lab', mayImport: [...core, ...system, ...platform], world: 'node' },
];

/** Nobody but themselves may import these, tests included. */
export const closedFolders: readonly string[] = ['src/apps', 'src/lab'];

function pure(folder: string, mayImport: readonly string[]): Layer {
  return { folder, mayImport, world: 'pure' };
}
