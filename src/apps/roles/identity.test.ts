import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseSettings } from '../config/settings.ts';
import { chooseEngine } from './engines.ts';
import { claimDirectory, engineOfDirectory, readIdentity } from './identity.ts';

const own = { cluster: 'c', role: 'master', id: 1, engine: 'raft', rules: 1 } as const;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-identity-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('a data directory', () => {
  it('is the node that claimed it first, for ever', () => {
    claimDirectory(dir, own);
    claimDirectory(dir, own);
    const claim = (other: object) => () => claimDirectory(dir, { ...own, ...other });
    expect(claim({ cluster: 'd' })).toThrow(expect.objectContaining({ code: 'WRONG_CLUSTER' }));
    expect(claim({ role: 'chunkserver' })).toThrow(expect.objectContaining({ code: 'WRONG_CLUSTER' }));
    expect(claim({ id: 2 })).toThrow(expect.objectContaining({ code: 'WRONG_CLUSTER' }));
  });

  it('keeps the engine that it was made with, and refuses another by name', () => {
    expect(engineOfDirectory(dir, undefined)).toBeUndefined();
    expect(engineOfDirectory(dir, 'paxos')).toBe('paxos');
    claimDirectory(dir, own);
    expect(engineOfDirectory(dir, undefined)).toBe('raft');
    const refusal = expect.objectContaining({
      code: 'WRONG_FORMAT',
      message: expect.stringMatching(/made with the engine raft, not with paxos; start it with raft/),
    });
    expect(() => engineOfDirectory(dir, 'paxos')).toThrow(refusal);
    expect(() => claimDirectory(dir, { ...own, engine: 'paxos' })).toThrow(refusal);
  });

  it('goes from one version of the rules of commands to later ones, never back', () => {
    const { rules: _, ...silent } = own;
    claimDirectory(dir, silent); // before directories said it
    claimDirectory(dir, own);
    claimDirectory(dir, { ...own, rules: 2 });
    claimDirectory(dir, { ...own, rules: 2 });
    expect(readIdentity(dir)).toMatchObject({ ...own, rules: 2 });
    expect(() => claimDirectory(dir, own)).toThrow(
      expect.objectContaining({
        code: 'WRONG_FORMAT',
        message: expect.stringMatching(/applied by rules 2, this program has rules 1; run the version that was last/),
      }),
    );
  });

  it('of another format, or damaged, is refused', () => {
    claimDirectory(dir, own);
    const path = join(dir, 'cairn.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"formatVersion": \d+/, '"formatVersion": 1'));
    expect(() => claimDirectory(dir, own)).toThrow(expect.objectContaining({ code: 'WRONG_FORMAT' }));
    writeFileSync(path, text.slice(0, 20));
    expect(() => claimDirectory(dir, own)).toThrow(expect.objectContaining({ code: 'WRONG_FORMAT' }));
  });
});

describe('cairn.json', () => {
  it('is laid out as docs/formats/data-directory.md shows', () => {
    const page = readFileSync(new URL('../../../docs/formats/data-directory.md', import.meta.url), 'utf8');
    const [, example] = /^```json\n(.*?)^```$/ms.exec(page)!;
    claimDirectory(dir, { cluster: 'photos', role: 'master', id: 1, engine: 'paxos', rules: 1 });
    expect(readFileSync(join(dir, 'cairn.json'), 'utf8')).toBe(example);
    expect(readIdentity(dir)).toEqual(JSON.parse(example!));
  });
});

describe('the choice of an engine', () => {
  it('is Raft with timeouts and without a lease, when nothing is said', () => {
    const { kind, elector, lease } = chooseEngine('raft', parseSettings('', 'cairn.yaml'));
    expect([kind.name, elector, lease]).toEqual(['raft', 'timeout', undefined]);
  });

  it.each(['raft', 'paxos'] as const)('is %s with either elector, and a lease', (engine) => {
    for (const elector of ['timeout', 'ballot'] as const)
      expect(chooseEngine(engine, { elector, lease: 200 })).toMatchObject({
        ...{ elector, kind: { name: engine }, lease: { durationMs: 200 } },
      });
  });
});
