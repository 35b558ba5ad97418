/** How conversations write down what engines say: short enough to be read, and the same for both engines as far as that goes. */
import { fromUtf8 } from '../../base/bytes.ts';
import type { Dropped, Entry, EntryPayload } from '../engine.ts';

/** An entry, and in Multi-Paxos the ballot that it was voted for in. */
interface Item {
  readonly entry: Entry;
  readonly ballot?: Ballot | undefined;
}

interface Ballot {
  readonly round: number;
  readonly node: number;
}

/** So many no-ops in a row, of one term and ballot, are written as one. */
const runMin = 4;
/** Checksums say nothing to people. */
const hidden: readonly string[] = ['chosenChecksum', 'previous'];

export function describe(fields: object): string {
  return Object.entries(fields)
    .filter(([name]) => !hidden.includes(name))
    .map(([name, value]) => ` ${name}=${describeValue(value)}`)
    .join('');
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return `[${describeItems(value.map(toItem)).join(', ')}]`;
  return isBallot(value) ? nameOf(value) : value === undefined ? '–' : String(value);
}

function toItem(value: Entry | Item): Item {
  return 'entry' in value ? value : { entry: value };
}

function isBallot(value: unknown): value is Ballot {
  return typeof value === 'object' && value !== null && 'round' in value && 'node' in value;
}

function nameOf({ round, node }: Ballot): string {
  return `${round}.${node}`;
}

export function describeEntries(entries: readonly Entry[]): readonly string[] {
  return describeItems(entries.map(toItem));
}

function describeItems(items: readonly Item[]): readonly string[] {
  const texts: string[] = [];
  for (let i = 0; i < items.length; ) {
    let end = i + 1;
    while (end < items.length && continues(items[end - 1]!, items[end]!)) end += 1;
    const isRun = end - i >= runMin;
    texts.push(describeItem(items[i]!, isRun ? items[end - 1]!.entry.index : undefined));
    i = isRun ? end : i + 1;
  }
  return texts;
}

function continues({ entry: a, ballot: p }: Item, { entry: b, ballot: q }: Item): boolean {
  const isNoop = a.payload.kind === 'noop' && b.payload.kind === 'noop';
  return isNoop && b.index === a.index + 1 && a.term === b.term && p?.round === q?.round;
}

/** Index@term and what it is; and the ballot, if it is of another round than the value. */
function describeItem({ entry: { index, term, payload }, ballot }: Item, upTo: number | undefined): string {
  const place = upTo === undefined ? `${index}` : `${index}…${upTo}`;
  const voted = ballot === undefined || ballot.round === term ? '' : ` in ${nameOf(ballot)}`;
  return `${place}@${term} ${describePayload(payload)}${voted}`;
}

function describePayload(payload: EntryPayload): string {
  if (payload.kind === 'proposal') return `“${fromUtf8(payload.data)}”`;
  if (payload.kind === 'noop') return 'noop';
  const { voters, votersNext, nonVoters } = payload.members;
  const next = votersNext === undefined ? '' : ` → ${votersNext.join(' ')}`;
  const listening = nonVoters.length === 0 ? '' : ` + ${nonVoters.join(' ')}`;
  return `members ${voters.join(' ')}${next}${listening}`;
}

export function describeDropped(dropped: Dropped): string {
  if (dropped.kind === 'proposal') return `proposal ${dropped.sequence}`;
  return dropped.kind === 'read' ? `read ${dropped.id}` : `control request ${dropped.id}`;
}

export function describeRecords(records: readonly unknown[]): string {
  const texts: string[] = [];
  let items: Item[] = [];
  for (const record of records) {
    const { kind, entry, ballot, ...fields } = record as { kind: string; entry?: Entry; ballot?: Ballot };
    if (entry !== undefined) items.push({ entry, ballot });
    else {
      texts.push(...describeItems(items), `${kind}${describe(ballot === undefined ? fields : { ballot, ...fields })}`);
      items = [];
    }
  }
  return [...texts, ...describeItems(items)].join(', ');
}

/** The terms of a log; long runs of one as `term×count`. */
export function describeTerms(terms: readonly number[]): string {
  const texts: string[] = [];
  for (let i = 0; i < terms.length; ) {
    let end = i + 1;
    while (terms[end] === terms[i]) end += 1;
    if (end - i > 8) texts.push(`${terms[i]}×${end - i}`);
    else texts.push(...terms.slice(i, end).map(String));
    i = end;
  }
  return texts.join(' ');
}
