/** The verbs that try to break it, and measure it. */
import type { Command } from 'commander';
import { counts, natural, seconds, share } from './arguments.ts';
import { verb } from './define-verb.ts';

export function addTrying(program: Command): void {
  addSim(program);
  addLab(program);
}

function addSim(program: Command): void {
  verb(
    program,
    'sim <action> [seed]',
    'consensus groups and whole clusters in simulated worlds: run many seeds, replay one, minimise one that fails',
    'cairn sim run --engine raft --seeds 1000, or: cairn sim replay 42 --verbose',
    () => import('../verbs/sim.ts'),
  )
    .option('--engine <name>', 'raft or paxos', 'raft')
    .option('--seeds <n>', 'run: how many', natural(1, 10_000_000), 100)
    .option('--start <seed>', 'run: the first', natural(0, 2 ** 31), 1)
    .option('--members <n>', 'voters of a group; else each seed draws', natural(1, 9))
    .option('--elector <name>', 'timeout or ballot; else each seed draws')
    .option('--scenario <name>', 'consensus, cluster, or a file that minimise --out wrote', 'consensus')
    .option('--jobs <n>', 'run: so many threads', natural(1, 256), 1)
    .option('--until-failure', 'run: stop at the first seed that fails')
    .option('--seconds <n>', 'run: stop after so much processor time', natural(1, 86_400))
    .option('--out <file>', 'minimise: write what is left to a file')
    .option('--verbose', 'replay: each step as it happens');
}

function addLab(program: Command): void {
  verb(
    program,
    'lab <experiment>',
    'measure: one experiment, or all; list names them',
    'cairn lab consensus --quick --out ./reports',
    () => import('../verbs/lab.ts'),
  )
    .option('--quick', 'seconds, not minutes: shows that it works, not what is true')
    .option('--out <dir>', 'write report.json and report.html to DIR/EXPERIMENT')
    .option('--runs <n>', 'rounds; in each, every subject has its turn', natural(1, 1000))
    .option('--seconds <s>', 'length of one measurement', seconds)
    .option('--subjects <names>', 'only these, as name,name', (text) => text.split(','))
    .option('--clients <counts>', 'numbers of clients, as n,n', counts)
    .option('--scale <share>', "gfs-fig3: share of the paper's link rates", share)
    .option('--extra-flush <ms>', "added to every flush of Cairn's disks", natural(0, 1000))
    .option('--profile <dir>', 'CPU profiles of the processes of Cairn go there')
    .option('--port-base <port>', 'first of 200 ports to choose from', natural(1, 65_000))
    .option('--scratch <dir>', 'where data lie meanwhile; on the disk that is to be measured');
}
