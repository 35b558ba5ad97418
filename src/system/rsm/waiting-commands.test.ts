import { describe, expect, it } from 'vitest';
import { fromUtf8, toUtf8 } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { DropReason, Proposal } from '../../core/consensus/engine.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { batchMaxBytes, decodeBatch } from './batch.ts';
import { type BatchLimits, commandsWaitingBytesMax, commandsWaitingMax, WaitingCommands } from './waiting-commands.ts';

const id = { client: 7, sequence: 1, ackBelow: 1 };

function setUp(limits: BatchLimits = { batchesInFlight: 2, overlapMinCommands: 3 }) {
  const world = testWorld(1);
  const proposed: Proposal[] = [];
  const host = { env: world.node('m1').env, appliedTime: 0, propose: (batch: Proposal) => void proposed.push(batch) };
  const commands = new WaitingCommands(host, limits);
  const answered: string[] = [];
  const begin = (command: string) =>
    commands.begin(id, toUtf8(command)).then(
      (result) => answered.push(`${command} ${fromUtf8(result)}`),
      (error: CairnError) => answered.push(`${command} ${error.code}`),
    );
  const contents = () =>
    proposed.map(({ data }) =>
      decodeBatch(data)
        .commands.map(({ command }) => fromUtf8(command))
        .join(),
    );
  const apply = ({ session, sequence, data }: Proposal) =>
    commands.applied(
      session,
      sequence,
      decodeBatch(data).commands.map(() => toUtf8('done')),
    );
  const drop = ({ session, sequence }: Proposal, reason: DropReason) =>
    commands.dropped({ kind: 'proposal', session, sequence, reason });
  return { world, host, commands, proposed, answered, begin, contents, apply, drop };
}

describe('waiting commands', () => {
  it('of one turn become one batch, and each has its own outcome', async () => {
    const { world, commands, proposed, answered, begin, contents } = setUp();
    const both = Promise.all([begin('a'), begin('b')]);
    expect(proposed).toEqual([]);
    await world.run(1);
    expect(contents()).toEqual(['a,b']);
    const { session, sequence } = proposed[0]!;
    commands.applied(session, sequence, [toUtf8('done'), new CairnError('SESSION_EXPIRED', 'too old')]);
    await both;
    expect(answered).toEqual(['a done', 'b SESSION_EXPIRED']);
  });

  it('few gather while a batch is on its way, many overlap it, and no more batches than the limit', async () => {
    const { world, proposed, begin, contents, apply } = setUp();
    for (const turn of [['a'], ['b', 'c'], ['d'], ['e', 'f', 'g']]) {
      for (const command of turn) void begin(command);
      await world.run(1);
    }
    expect(contents()).toEqual(['a', 'b,c,d']);
    apply(proposed[0]!);
    await world.run(1);
    expect(contents()).toEqual(['a', 'b,c,d', 'e,f,g']);
  });

  it('that gathered are proposed when the batch before them is dropped, too', async () => {
    const { world, proposed, answered, begin, contents, drop } = setUp();
    void begin('a');
    await world.run(1);
    void begin('b');
    await world.run(1);
    drop(proposed[0]!, 'queueFull');
    await world.run(1);
    expect(answered).toEqual(['a BUSY']);
    expect(contents()).toEqual(['a', 'b']);
  });

  it('that come as a convoy are split, so that their batches overlap', async () => {
    const { world, proposed, begin } = setUp();
    for (let i = 0; i < 256; i++) void begin('x');
    await world.run(1);
    expect(proposed.map(({ data }) => decodeBatch(data).commands.length)).toEqual([128, 128]);
  });

  it('bear no earlier time than what is applied', async () => {
    const { world, host, proposed, begin } = setUp();
    host.appliedTime = 2 ** 52;
    void begin('a');
    await world.run(1);
    expect(decodeBatch(proposed[0]!.data).time).toBe(2 ** 52);
  });

  it('do not take the batches of other hosts for their own', async () => {
    const { world, commands, proposed, answered, begin, apply } = setUp();
    const asked = begin('a');
    await world.run(1);
    const { session, sequence } = proposed[0]!;
    commands.applied(session + 1, sequence, [toUtf8('of another')]);
    commands.dropped({ kind: 'proposal', session: session + 1, sequence, reason: 'notLeader' });
    apply(proposed[0]!);
    await asked;
    expect(answered).toEqual(['a done']);
  });

  it.each<[DropReason, string]>([
    ['steppedDown', 'UNKNOWN_OUTCOME'],
    ['queueFull', 'BUSY'],
    ['tooLarge', 'TOO_LARGE'],
    ['changeInProgress', 'BUSY'],
    ['notLeader', 'NOT_LEADER'],
  ])('dropped as %s are %s', async (reason, code) => {
    const { world, proposed, answered, begin, drop } = setUp();
    const asked = begin('a');
    await world.run(1);
    drop(proposed[0]!, reason);
    await asked;
    expect(answered).toEqual([`a ${code}`]);
  });

  it('whose batch took effect in a state that came from a peer have an unknown outcome, and make room for others', async () => {
    const { world, commands, proposed, answered, begin, contents } = setUp({
      batchesInFlight: 1,
      overlapMinCommands: 1,
    });
    const asked = begin('a');
    await world.run(1);
    void begin('b');
    const { session, sequence } = proposed[0]!;
    commands.skipped(session + 1, sequence);
    commands.skipped(session, sequence);
    await asked;
    await world.run(1);
    expect(answered).toEqual(['a UNKNOWN_OUTCOME']);
    expect(contents()).toEqual(['a', 'b']);
  });

  it('that gather are refused for certain when leadership ends; of those on their way the engine speaks', async () => {
    const { world, commands, proposed, answered, begin, apply } = setUp();
    const first = begin('a');
    await world.run(1);
    const second = begin('b');
    commands.abandon();
    await second;
    expect(answered).toEqual(['b NOT_LEADER']);
    apply(proposed[0]!);
    await first;
    expect(answered).toEqual(['b NOT_LEADER', 'a done']);
    await world.run(1);
    expect(proposed).toHaveLength(1);
  });

  it('that gather go to another leader when the host stops, which tells why; those on their way have an unknown outcome', async () => {
    const { world, commands, answered, begin } = setUp();
    const first = begin('a');
    await world.run(1);
    const second = begin('b');
    commands.stop(new CairnError('DISK_FAILED', 'the disk failed'));
    await Promise.all([first, second]);
    expect(answered.sort()).toEqual(['a UNKNOWN_OUTCOME', 'b NOT_LEADER']);
  });

  it('are refused when they are too large, or too many gather', async () => {
    const { commands, begin, answered } = setUp();
    await expect(commands.begin(id, new Uint8Array(batchMaxBytes / 2 + 1))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
    for (let i = 0; i < commandsWaitingMax; i++) void begin('x');
    await begin('late');
    expect(answered).toEqual(['late BUSY']);
  });

  it('are refused when those that gather are too large together, until some of them are on their way', async () => {
    const { world, commands, proposed } = setUp({ batchesInFlight: 1, overlapMinCommands: 1 });
    const large = new Uint8Array(batchMaxBytes / 2);
    const fitting = commandsWaitingBytesMax / large.length;
    const fill = (count: number) =>
      Array.from({ length: count }, () => commands.begin(id, large).catch(() => undefined));
    fill(fitting);
    await expect(commands.begin(id, toUtf8('x'))).rejects.toMatchObject({ code: 'BUSY' });
    await world.run(1);
    expect(proposed).toHaveLength(1);
    const taken = fill(1);
    commands.abandon();
    await Promise.all(taken);
    fill(fitting);
    await expect(commands.begin(id, toUtf8('x'))).rejects.toMatchObject({ code: 'BUSY' });
  });
});
