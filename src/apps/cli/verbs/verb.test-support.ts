/** A verb against a cluster that a test may interfere with, and what it says. */
import { tmpdir } from 'node:os';
import { vi } from 'vitest';
import { toCairnError } from '../../../core/base/errors.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { FakeCluster } from '../../../system/client/fake-cluster.test-support.ts';
import { Cairn } from '../../library/client.ts';
import type { Invocation, Verb } from '../invocation.ts';
import { reportError } from '../output.ts';

export interface Said {
  readonly out: string;
  readonly err: string;
  readonly exit: number;
}

/** On ports of this machine; it keeps nothing on disk. */
export function startCluster(): Promise<FakeCluster> {
  return FakeCluster.startOn(nodeEnv({ dir: tmpdir() }));
}

export async function withCairn(cluster: FakeCluster, work: (cairn: Cairn) => Promise<void>): Promise<void> {
  const cairn = await Cairn.connect(urlOf(cluster));
  try {
    await work(cairn);
  } finally {
    await cairn.close();
  }
}

/** Runs it as the program does. */
export async function runVerb(verb: Verb, cluster: FakeCluster, given: Partial<Invocation> = {}): Promise<Said> {
  const out: string[] = [];
  const err: string[] = [];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
  const invocation = { args: [], options: {}, cluster: urlOf(cluster), deadlineMs: 5000, json: false, ...given };
  try {
    process.exitCode = 0;
    await verb(invocation).catch((thrown: unknown) => reportError(toCairnError(thrown), invocation.json));
    return { out: out.join(''), err: err.join(''), exit: Number(process.exitCode) };
  } finally {
    process.exitCode = undefined;
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

export function urlOf({ master }: FakeCluster): string {
  return `cairn://${master.address}`;
}
