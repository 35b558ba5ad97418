/** The verbs that run a cluster, or a node of one. */
import { type Command, Option } from 'commander';
import { natural } from './arguments.ts';
import { verb } from './define-verb.ts';

export function addRunning(program: Command): void {
  verb(
    program,
    'up',
    'start a whole cluster on this machine; Ctrl-C stops it, its data stay',
    'cairn up --dir ./data --chunkservers 4',
    () => import('../verbs/up.ts'),
  )
    .option('--dir <dir>', 'where its data are kept', '.cairn')
    .addOption(
      new Option('--engine <name>', 'consensus engine of a new directory (default: raft)').choices(['raft', 'paxos']),
    )
    .addOption(
      new Option('--elector <name>', 'how a leader is found (default: timeout)').choices(['timeout', 'ballot']),
    )
    .option('--masters <n>', 'how many (default: as the directory has, 3 in a new one)', natural(1, 9))
    .option('--chunkservers <n>', 'how many (default: as the directory has, 3 in a new one)', natural(1, 64))
    .option(
      '--port-base <port>',
      'masters from here on, chunkservers from +10 on (default: as the directory has, 7070 in a new one)',
      natural(1, 65_400),
    )
    .option('--config <file>', 'a cairn.yaml with further settings');
  for (const role of ['master', 'chunkserver'] as const) {
    verb(
      program,
      role,
      `run one ${role}, as its configuration says`,
      `cairn ${role} --config /etc/cairn/cairn.yaml`,
      () => (role === 'master' ? import('../verbs/master.ts') : import('../verbs/chunkserver.ts')),
    ).requiredOption('--config <file>', 'its cairn.yaml');
  }
}
