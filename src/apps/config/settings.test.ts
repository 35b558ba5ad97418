import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CairnError } from '../../core/base/errors.ts';
import { parseSettings } from './settings.ts';

function mistake(source: string): string {
  try {
    parseSettings(source, 'cairn.yaml');
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(CairnError);
    expect((thrown as CairnError).code).toBe('CONFIG_INVALID');
    return (thrown as CairnError).message;
  }
  throw new Error('the settings were accepted');
}

describe('cairn.yaml', () => {
  it('has a default for everything', () => {
    const settings = parseSettings('', 'cairn.yaml');
    expect(settings.replication).toEqual({ factor: 3, mode: 'strong', heartbeat_interval: 250, min_replicas: 1 });
    expect(settings.chunk_size).toBe(64 * 1024 * 1024);
    expect(settings.durability).toBe('memory');
  });

  it('has each of its keys in docs/operations.md', () => {
    const written = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
    const keysOf = (value: object, above: string): string[] =>
      Object.entries(value).flatMap(([key, inner]) =>
        typeof inner === 'object' ? keysOf(inner as object, `${above}${key}.`) : [above + key],
      );
    const keys = keysOf(parseSettings('', 'cairn.yaml'), '');
    expect(keys.length).toBeGreaterThan(15);
    for (const key of keys) expect(written).toContain(`\`${key}\``);
  });

  it('reads sizes and times with their units', () => {
    const settings = parseSettings('chunk_size: 1MiB\nreplication:\n  heartbeat_interval: 5s\n', 'cairn.yaml');
    expect(settings.chunk_size).toBe(1024 * 1024);
    expect(settings.replication.heartbeat_interval).toBe(5000);
  });

  it('names line and key of each unknown key', () => {
    const text = mistake('replication:\n  factor: 3\n  fector: 2\nengin: raft\n');
    expect(text).toContain('line 3: unknown key "replication.fector"');
    expect(text).toContain('line 4: unknown key "engin"');
  });

  it('names line and key of a wrong value', () => {
    expect(mistake('\n\nreplication:\n  factor: many\n')).toContain('line 4: replication.factor');
    expect(mistake('chunk_size: 100\n')).toContain('line 1: chunk_size');
    expect(mistake('chunk_size:\n')).toContain('line 1: chunk_size: give a size such as 64MiB');
    expect(mistake('dead_after: true\n')).toContain('line 1: dead_after: give a time such as 250ms or 5s');
    expect(mistake('masters:\n  - id: 1\n    address: nowhere\n')).toContain('line 3: masters.0.address');
  });

  it('names the line of a syntax error', () => {
    expect(mistake('replication:\n  factor: [3\n')).toMatch(/line [23]:/);
  });

  it('takes an address only with a port that there is, and no master twice', () => {
    const masters = (...addresses: string[]) =>
      `masters:\n${addresses.map((address, n) => `  - {id: ${n + 1}, address: "${address}"}`).join('\n')}\n`;
    expect(parseSettings(masters('10.0.0.1:7070', '[::1]:7070'), 'cairn.yaml').masters).toHaveLength(2);
    for (const address of ['10.0.0.1:99999', '10.0.0.1:0', '::1:7070', 'cairn://10.0.0.1:7070', '10.0.0.1'])
      expect(mistake(masters(address)), address).toContain('line 2: masters.0.address: give host:port');
    expect(mistake(masters('a:1', 'b:1', 'a:1'))).toContain(
      'line 4: masters.2.address: another master has a:1 already',
    );
    const ids = 'masters:\n  - {id: 1, address: "a:1"}\n  - {id: 1, address: "b:1"}\n';
    expect(mistake(ids)).toContain('line 3: masters.1.id: another master has 1 already');
  });

  it('takes no time that would keep a node busy with nothing, or outlast its timers', () => {
    expect(mistake('replication:\n  heartbeat_interval: 0\n')).toContain(
      'line 2: replication.heartbeat_interval: give a time from 10ms to 1h',
    );
    expect(mistake('election_timeout: 0s')).toContain('line 1: election_timeout: give a time from');
    expect(mistake('dead_after: 0s')).toContain('line 1: dead_after: give a time from');
    expect(mistake('disk:\n  scrub_every: 0s\n')).toContain('line 2: disk.scrub_every: give a time from');
    expect(mistake('dead_after: soon')).toContain('give a time such as');
  });

  it('is refused, and no mistake of ours, where its aliases lead nowhere or to too much', () => {
    expect(mistake('cluster: *photos\n')).toMatch(/cairn\.yaml: .*alias/);
    const ever = (name: string, of: string) => `${name}: &${name} [${Array(9).fill(`*${of}`).join(', ')}]`;
    const bomb = ['a: &a [x]', ever('b', 'a'), ever('c', 'b'), ever('d', 'c'), ever('e', 'd')].join('\n');
    expect(mistake(bomb)).toMatch(/cairn\.yaml: .*alias/);
  });

  it('names engine and elector, and no others', () => {
    expect(parseSettings('engine: paxos\nelector: ballot\nlease: 200ms', 'cairn.yaml')).toMatchObject({
      ...{ engine: 'paxos', elector: 'ballot', lease: 200 },
    });
    expect(mistake('engine: zab')).toContain('line 1: engine');
    expect(mistake('engine: raft\nelector: coin')).toContain('line 2: elector');
  });

  it('takes the mode of replication, in either form of YAML', () => {
    const inline = parseSettings('replication: {factor: 3, mode: async, heartbeat_interval: 5s}', 'cairn.yaml');
    const block = parseSettings('replication:\n  factor: 3\n  mode: async\n  heartbeat_interval: 5s\n', 'cairn.yaml');
    expect(inline.replication).toEqual({ factor: 3, mode: 'async', heartbeat_interval: 5000, min_replicas: 1 });
    expect(block).toEqual(inline);
    expect(mistake('replication:\n  mode: sync\n')).toContain('line 2: replication.mode');
    expect(mistake('replication:\n  factor: 2\n  min_replicas: 3\n')).toContain('line 3: replication.min_replicas');
  });
});
