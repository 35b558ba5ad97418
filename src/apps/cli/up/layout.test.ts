import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toNodeId } from '../../../core/base/brand.ts';
import { encodeMemberFile } from '../../../system/master/membership/member-file.ts';
import { parseSettings } from '../../config/settings.ts';
import { planLayout, type UpOptions, writeLayout } from './layout.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-layout-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function lay(options: Partial<UpOptions> = {}) {
  const settings = parseSettings('', 'defaults');
  const whole: UpOptions = {
    ...{ dir, engine: 'raft', masters: undefined, chunkservers: undefined, portBase: 9000, settings, ...options },
  };
  const layout = planLayout(whole);
  writeLayout(layout, whole);
  return layout;
}

const names = (layout: ReturnType<typeof lay>) => layout.nodes.map(({ name }) => name);

describe('the layout of a local cluster', () => {
  it('has three masters and three chunkservers in a new directory', () => {
    const layout = lay();
    expect(layout.nodes.map(({ name, address }) => `${name} ${address}`)).toEqual([
      ...['master-1 127.0.0.1:9000', 'master-2 127.0.0.1:9001', 'master-3 127.0.0.1:9002'],
      ...['chunkserver-1 127.0.0.1:9010', 'chunkserver-2 127.0.0.1:9011', 'chunkserver-3 127.0.0.1:9012'],
    ]);
    expect(layout.url).toBe('cairn://127.0.0.1:9000,127.0.0.1:9001,127.0.0.1:9002');
  });

  it('has the nodes of a directory that is there, whatever a new one would have', () => {
    const first = lay({ masters: 1, chunkservers: 5 });
    const again = lay();
    expect(names(again)).toEqual(names(first));
    expect([again.cluster, again.leftOut]).toEqual([first.cluster, []]);
  });

  it('has all nodes in a new directory also where folders were made for disks of some of them', () => {
    for (const name of ['master-2', 'chunkserver-1', 'chunkserver-2']) mkdirSync(join(dir, name));
    expect(names(lay({ chunkservers: 4 }))).toHaveLength(3 + 4);
  });

  it('takes more chunkservers, and says which fewer of them leave out', () => {
    lay({ chunkservers: 2 });
    expect(names(lay({ chunkservers: 4 })).slice(3)).toHaveLength(4);
    const fewer = lay({ chunkservers: 1 });
    expect(names(fewer).slice(3)).toEqual(['chunkserver-1']);
    expect(fewer.leftOut.map(({ name }) => name)).toEqual(['chunkserver-2', 'chunkserver-3', 'chunkserver-4']);
  });

  it('does not make a chunkserver anew whose directory was removed for good', () => {
    lay();
    rmSync(join(dir, 'chunkserver-2'), { recursive: true });
    mkdirSync(join(dir, 'chunkserver-x'));
    expect(names(lay()).slice(3)).toEqual(['chunkserver-1', 'chunkserver-3']);
  });

  it('keeps the ports by which its masters know each other', () => {
    const first = lay({ portBase: 9100 });
    expect([first.isNew, lay({ portBase: undefined }).url]).toEqual([true, first.url]);
    expect(() => lay({ portBase: 9200 })).toThrow(/made with --port-base 9100, .* leave --port-base out/);
    expect(lay({ portBase: 9100 }).isNew).toBe(false);
  });

  it.each(['', 'cluster: photos\n'])('does not guess the ports where %j is left of its configuration', (left) => {
    const [master] = lay({ portBase: 9100 }).nodes;
    writeFileSync(master!.configFile, left);
    expect(() => lay({ portBase: undefined })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/master-1\/cairn.yaml has no node.address, .* give the --port-base that/),
      }),
    );
    lay({ portBase: 9100 });
    expect(lay({ portBase: undefined }).nodes[0]!.address).toBe('127.0.0.1:9100');
  });

  it('writes a configuration under another name, and only one that says something else', () => {
    const { configFile } = lay().nodes[0]!;
    const before = join(dir, 'before');
    linkSync(configFile, before);
    const text = readFileSync(before, 'utf8');
    lay();
    expect(statSync(configFile).ino).toBe(statSync(before).ino);
    lay({ settings: parseSettings('lease: 2s', 'cairn.yaml') });
    expect(readFileSync(configFile, 'utf8')).toBe(text.replace('lease: 0ms', 'lease: 2000ms'));
    expect(readFileSync(before, 'utf8')).toBe(text);
    expect(readdirSync(join(dir, 'master-1'))).toEqual(['cairn.yaml']);
  });

  it('refuses another number of masters than it was made with', () => {
    lay({ masters: 1 });
    expect(() => lay({ masters: 3 })).toThrow(/made with 1 master, .* leave --masters out/);
  });

  it('leaves out masters that were removed from the cluster, whatever becomes of their directories', () => {
    const whole = lay({ masters: 3 });
    const markRemoved = (id: number): void => {
      const record = {
        directory: 1,
        node: toNodeId(id),
        bootstrap: [1, 2, 3].map(toNodeId),
        founders: [],
        opened: true,
        removed: true,
      };
      mkdirSync(join(dir, `master-${id}/data`), { recursive: true });
      writeFileSync(join(dir, `master-${id}/data/member`), encodeMemberFile(record, { crc32 }));
    };
    markRemoved(1);
    const without = lay();
    expect(names(without).slice(0, 2)).toEqual(['master-2', 'master-3']);
    expect([without.leftOut.map(({ name }) => name), without.url]).toEqual([
      ['master-1'],
      'cairn://127.0.0.1:9001,127.0.0.1:9002',
    ]);
    expect(names(lay({ masters: 3 }))).toEqual(names(without));
    rmSync(join(dir, 'master-1'), { recursive: true });
    expect([names(lay()), lay().leftOut]).toEqual([names(without), []]);
    expect(lay().nodes.map(({ address }) => address)).toEqual(whole.nodes.map(({ address }) => address).slice(1));
    mkdirSync(join(dir, 'master-2/data'));
    writeFileSync(join(dir, 'master-2/data/member'), 'damaged'); // which it tells itself; the others are started
    expect(names(lay())).toEqual(names(without));
    for (const id of [2, 3]) markRemoved(id);
    expect(() => lay()).toThrow(/all masters of .* were removed from their cluster/);
  });

  it('has the name that the configuration gives to the cluster, and keeps it', () => {
    const named = (name: string) => ({ settings: parseSettings(`cluster: ${name}`, 'cairn.yaml') });
    expect(lay(named('photos')).cluster).toBe('photos');
    expect(lay().cluster).toBe('photos');
    expect(() => lay(named('films'))).toThrow(/belongs to the local cluster photos, not to the local cluster films/);
  });

  it('hands each node every setting, as it was given', () => {
    const given = parseSettings(
      [
        ...['engine: paxos', 'elector: ballot', 'lease: 2s', 'durability: disk', 'chunk_size: 1MiB'],
        'replication: {factor: 2, mode: async, heartbeat_interval: 5s, min_replicas: 2}',
        ...['election_timeout: 333ms', 'dead_after: 77s', 'trash: {retention: 2h}', 'log: {level: debug}'],
        'copying: {per_cluster: 5MiB, per_server: 6MiB}',
        'disk: {extra_flush: 3ms, reserve: 7MiB, scrub_every: 9h, scrub_rate: 8MiB}',
      ].join('\n'),
      'cairn.yaml',
    );
    const defaults = parseSettings('', 'defaults');
    for (const key of Object.keys(defaults) as (keyof typeof defaults)[])
      expect(given[key], `the default of ${key} would prove nothing`).not.toEqual(defaults[key]);
    for (const node of lay({ settings: given, engine: 'paxos' }).nodes) {
      const { cluster, masters, node: own, ...told } = parseSettings(readFileSync(node.configFile, 'utf8'), node.name);
      expect(told).toEqual(given);
      expect([own?.id, own?.address, masters?.length]).toEqual([node.id, node.address, 3]);
      expect(cluster).toMatch(/^local-/);
    }
  });
});
