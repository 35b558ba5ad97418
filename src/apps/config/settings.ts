/** `cairn.yaml`: what it may say, with its units and defaults. Every mistake is named with its line and key. */
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { CairnError } from '../../core/base/errors.ts';
import { isAddress } from './address.ts';

const kib = 1024;
const units: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1000,
  MB: 1e6,
  GB: 1e9,
  KiB: kib,
  MiB: kib * kib,
  GiB: kib * kib * kib,
};
const spans: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const sizeForm = 'give a size such as 64MiB';
const spanForm = 'give a time such as 250ms or 5s';

const bytes = z.union([z.number().int().nonnegative(), z.string()], sizeForm).transform((given, context) => {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*$/.exec(String(given));
  const unit = match === null ? undefined : units[match[2]!];
  if (match !== null && unit !== undefined) return Math.round(Number(match[1]) * unit);
  context.addIssue({ code: 'custom', message: sizeForm });
  return z.NEVER;
});

/** A time from `least` to `most`, as they would be written in the file. */
function span(least: string, most: string) {
  const [leastMs, mostMs] = [spanMs(least)!, spanMs(most)!];
  return z.union([z.number().nonnegative(), z.string()], spanForm).transform((given, context) => {
    const ms = spanMs(typeof given === 'number' ? `${given}s` : given);
    if (ms !== undefined && ms >= leastMs && ms <= mostMs) return ms;
    const message = ms === undefined ? spanForm : `give a time from ${least} to ${most}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

function spanMs(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(text);
  return match === null ? undefined : Number(match[1]) * spans[match[2]!]!;
}

const address = z.string().refine(isAddress, 'give host:port');

const masters = z
  .array(z.strictObject({ id: z.number().int().min(1).max(65535), address }))
  .max(9)
  .superRefine((all, context) => {
    for (const key of ['id', 'address'] as const)
      for (const [at, master] of all.entries())
        if (all.findIndex((other) => other[key] === master[key]) < at)
          context.addIssue({ code: 'custom', path: [at, key], message: `another master has ${master[key]} already` });
  });

const replication = z
  .strictObject({
    /** Copies of each chunk. */
    factor: z.number().int().min(1).max(16).default(3),
    /** What a success means. */
    mode: z.enum(['strong', 'gfs', 'async']).default('strong'),
    heartbeat_interval: span('10ms', '1h').default(250),
    /** No mutation succeeds on fewer copies. */
    min_replicas: z.number().int().min(1).max(16).default(1),
  })
  .refine(({ factor, min_replicas }) => min_replicas <= factor, {
    path: ['min_replicas'],
    message: 'at most as many as the factor',
  });

const settingsSchema = z.strictObject({
  cluster: z.string().min(1).max(64).optional(),
  /** Absent: the one that the data directory was made with. */
  engine: z.enum(['raft', 'paxos']).optional(),
  elector: z.enum(['timeout', 'ballot']).default('timeout'),
  /** 0: no reads by lease. */
  lease: span('0s', '1h').default(0),
  masters: masters.optional(),
  node: z
    .strictObject({
      id: z.number().int().min(1).max(65535),
      dir: z.string().min(1),
      address: address.optional(),
      rack: z.string().max(64).default('default'),
    })
    .optional(),
  replication: replication.prefault({}),
  durability: z.enum(['memory', 'disk']).default('memory'),
  chunk_size: bytes
    .refine((n) => n >= 64 * kib && n <= 1024 * kib * kib && n % (64 * kib) === 0, 'a multiple of 64KiB up to 1GiB')
    .default(64 * kib * kib),
  election_timeout: span('10ms', '1h').default(150),
  dead_after: span('100ms', '365d').default(10_000),
  trash: z
    .strictObject({
      /** For so long what was removed can be restored; 0: not at all. */
      retention: span('0s', '36500d').default(3 * 86_400_000),
    })
    .prefault({}),
  /** How fast chunks are copied from server to server, in bytes a second; 0: no bound. */
  copying: z
    .strictObject({
      per_cluster: bytes.default(0),
      per_server: bytes.default(100 * kib * kib),
    })
    .prefault({}),
  disk: z
    .strictObject({
      /** Added to each flush, to see how results carry over to slower disks. */
      extra_flush: span('0s', '1m').default(0),
      /** Kept free on a chunkserver's disk. */
      reserve: bytes.default(64 * kib * kib),
      /** Each block of a chunkserver is looked at once in so long, when there is little else to do, and at this rate. */
      scrub_every: span('1s', '36500d').default(7 * 24 * 3_600_000),
      scrub_rate: bytes.refine((n) => n > 0, 'more than 0').default(32 * kib * kib),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;
/** What a file may say: every key may be left out. */
export type SettingsInput = z.input<typeof settingsSchema>;

/**
 * The settings in `source`, a YAML text; `name` stands in error messages.
 * @throws CairnError CONFIG_INVALID, naming each mistake with its line
 */
export function parseSettings(source: string, name: string): Settings {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true });
  const mistakes = document.errors.map(
    (error) => `line ${lines.linePos(error.pos[0]).line}: ${firstLine(error.message)}`,
  );
  if (mistakes.length === 0) {
    const parsed = settingsSchema.safeParse(contentOf(document, name) ?? {});
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) mistakes.push(...describe(issue, document, lines));
  }
  throw new CairnError('CONFIG_INVALID', `${name}: ${mistakes.join('; ')}`);
}

/** Aliases are resolved only here: one may be of nothing, or of too much. */
function contentOf(document: ReturnType<typeof parseDocument>, name: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new CairnError('CONFIG_INVALID', `${name}: ${firstLine((cause as Error).message)}`, { cause });
  }
}

function describe(issue: z.core.$ZodIssue, document: ReturnType<typeof parseDocument>, lines: LineCounter): string[] {
  const path = issue.path as (string | number)[];
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(
      (key) => `line ${lineOf([...path, key], document, lines)}: unknown key "${[...path, key].join('.')}"`,
    );
  return [`line ${lineOf(path, document, lines)}: ${path.join('.') || 'the file'}: ${issue.message}`];
}

/** Line of the key at `path`, or of the nearest node above it that is written down. */
function lineOf(path: (string | number)[], document: ReturnType<typeof parseDocument>, lines: LineCounter): number {
  for (let depth = path.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const key = path[depth - 1];
    const items = (parent as { items?: readonly unknown[] } | null | undefined)?.items;
    if (!Array.isArray(items)) continue;
    const found: unknown =
      typeof key === 'number' ? items[key] : items.find((pair) => String((pair as { key?: unknown }).key) === key);
    const node = (found as { key?: unknown } | undefined)?.key ?? found;
    const range = (node as { range?: readonly number[] } | undefined)?.range;
    if (range !== undefined) return lines.linePos(range[0]!).line;
  }
  return 1;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.replace(/ at line .*$/, '');
}
