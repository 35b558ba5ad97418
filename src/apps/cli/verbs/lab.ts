/** `cairn lab`: the experiments, loaded only here. */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import type { Invocation } from '../invocation.ts';
import { printJson, printLine } from '../output.ts';
import { exitOnSignals, takingBack } from './interrupt.ts';

/** Forty processes and their networks, mounts, and a cluster that stops in its own order. */
const tidyMaxMs = 60_000;

interface Flags {
  readonly quick?: boolean;
  readonly out?: string;
  readonly runs?: number;
  readonly seconds?: number;
  readonly subjects?: readonly string[];
  readonly clients?: readonly number[];
  readonly scale?: number;
  readonly extraFlush?: number;
  readonly profile?: string;
  readonly portBase?: number;
  readonly scratch?: string;
}

export async function run({ args: [name = 'list'], options, json }: Invocation): Promise<void> {
  const flags = options as unknown as Flags;
  const { experiments, LabSession, toTable } = await import('../../../lab/compare/run-lab.ts');
  if (name === 'list') {
    for (const { name, question } of experiments)
      if (json) printJson({ name, question });
      else printLine(`${name.padEnd(22)} ${question}`);
    return;
  }
  const { quick = false, out, extraFlush, profile, scratch = tmpdir(), portBase = ownPortBase(), ...rest } = flags;
  const session = new LabSession({
    names: name === 'all' ? experiments.map((experiment) => experiment.name) : [name],
    options: {
      ...rest,
      quick,
      portBase,
      scratch: resolve(scratch),
      ...(extraFlush === undefined ? {} : { extraFlushMs: extraFlush }),
      ...(profile === undefined ? {} : { profileDir: resolve(profile) }),
    },
    out,
    say: (line) => void process.stderr.write(`${line}\n`),
    done: (report, folder) => {
      if (json) printJson(report);
      else printLine(`${toTable(report)}\n${folder === undefined ? '' : `\n${folder}/report.html\n`}`);
    },
  });
  exitOnSignals();
  await takingBack(
    () => session.close(),
    () => session.run(),
    tidyMaxMs,
  );
}

/** Two labs at once are unlikely to look for free ports in the same place. */
function ownPortBase(): number {
  return 12_000 + (process.pid % 100) * 200;
}
