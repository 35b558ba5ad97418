/** The verbs of whoever keeps a cluster. */
import type { Command } from 'commander';
import { clusterVerb } from './define-verb.ts';

export function addOperating(program: Command): void {
  clusterVerb(
    program,
    'status',
    'masters, chunkservers, chunks: is all well?',
    'cairn status --json',
    () => import('../verbs/status.ts'),
  );
  clusterVerb(program, 'servers', 'the chunkservers', 'cairn servers', () => import('../verbs/servers.ts'));
  clusterVerb(program, 'df', 'how full the cluster is', 'cairn df', () => import('../verbs/df.ts'));
  clusterVerb(
    program,
    'fsck [path]',
    'what is wrong with the chunks of files',
    'cairn fsck /logs',
    () => import('../verbs/fsck.ts'),
  ).option('--regions <file>', 'where the replicas of this file are the same, and where not');
  clusterVerb(
    program,
    'scrub',
    'how far the search for damaged blocks has come',
    'cairn scrub --now',
    () => import('../verbs/scrub.ts'),
  ).option('--now', 'search all chunkservers now, and wait for the end');
  clusterVerb(
    program,
    'drain <id>',
    'empty a chunkserver: its chunks go elsewhere, it gets no new ones',
    'cairn drain 3 --wait',
    () => import('../verbs/drain.ts'),
  )
    .option('--undo', 'let it have chunks again')
    .option('--wait', 'until no chunk needs it');
  clusterVerb(
    program,
    'consensus <action> [argument]',
    'the group of masters: status, transfer ID, add ADDRESS, remove ID',
    'cairn consensus transfer 2, or: cairn consensus add 10.0.0.4:7070',
    () => import('../verbs/consensus.ts'),
  );
}
