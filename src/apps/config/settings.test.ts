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
    expect(mistake('masters:\n  - id: 1\n    address: nowhere\n')).toContain('line 3: masters.0.address');
  });

  it('names the line of a syntax error', () => {
    expect(mistake('replication:\n  factor: [3\n')).toMatch(/line [23]:/);
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
