/** `cairn consensus`: the group of masters. Who leads, who votes, who lags; who is to lead, to come and to go. */
import { type Address, toAddress } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { isAddress } from '../../config/address.ts';
import type { Cairn, ClusterStatus } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatCount, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { showMaster } from './status.ts';

const pollMs = 200;
/** A change that has not moved for so long is left to itself. */
const patienceMs = 60_000;

type Action = (invocation: Invocation, argument: string) => Promise<void>;

const actions: Readonly<Record<string, { readonly takes: string | undefined; readonly run: Action }>> = {
  status: { takes: undefined, run: showStatus },
  transfer: { takes: 'ID', run: transfer },
  add: { takes: 'ADDRESS', run: add },
  remove: { takes: 'ID', run: remove },
};

export async function run(invocation: Invocation): Promise<void> {
  const [name = '', argument] = invocation.args;
  const action = actions[name];
  if (action === undefined)
    throw new CairnError(
      'USAGE',
      `consensus ${name}: there is no such action; choose ${Object.keys(actions).join(', ')}`,
    );
  if ((argument !== undefined) !== (action.takes !== undefined))
    throw new CairnError(
      'USAGE',
      `consensus ${name} takes ${action.takes ?? 'nothing more'}; see \`cairn consensus --help\``,
    );
  await action.run(invocation, argument ?? '');
}

// ---------------------------------------------------------------- status

async function showStatus(invocation: Invocation): Promise<void> {
  const { clusterId, leader = null, masters } = await withCluster(invocation, (cairn) => cairn.status());
  const voters = masters.filter(({ standing }) => standing === 'voter');
  const needed = Math.floor(voters.length / 2) + 1;
  const answering = voters.filter(({ role }) => role !== 'down').length;
  if (invocation.json) {
    printJson({
      clusterId,
      leader,
      quorum: { voters: voters.length, needed, answering },
      masters: masters.map(showMaster),
    });
    return;
  }
  const { engine, elector } = masters[0]!;
  printLine(`cluster ${clusterId}: ${engine} with elector ${elector}, led by master ${leader ?? '(none)'}`);
  printLine(`${formatCount(voters.length, 'voter')}, ${answering} answering, ${needed} needed\n`);
  printLine(formatTable(header(engine), masters.map(rowOf)));
}

type MasterStatus = ClusterStatus['masters'][number];

function header(engine: MasterStatus['engine']): string[] {
  const term = engine === 'paxos' ? 'ballot' : 'term';
  return ['master', 'incarnation', 'address', 'standing', 'role', term, 'commit', 'applied', 'lag', 'pid'];
}

function rowOf(m: MasterStatus): (string | number)[] {
  const progress = m.role === 'down' ? ['-', '-', '-'] : [m.term, m.commitIndex, m.appliedIndex];
  return [m.id, m.incarnation, m.address, m.standing, m.role, ...progress, m.lag ?? '-', m.pid === 0 ? '-' : m.pid];
}

// ---------------------------------------------------------------- changes

async function transfer(invocation: Invocation, argument: string): Promise<void> {
  const id = masterId(argument);
  await withCluster(invocation, (cairn) => cairn.masters.transferLeadership(id));
  if (invocation.json) printJson({ leader: id });
  else printLine(`master ${id} leads`);
}

async function add(invocation: Invocation, argument: string): Promise<void> {
  const address = addressOf(argument);
  const state = await withCluster(invocation, (cairn) => untilVoter(cairn, address, invocation.json));
  const { id, standing } = state;
  if (invocation.json) printJson({ id, address, standing });
  else printLine(`master ${id} votes`);
}

async function untilVoter(cairn: Cairn, address: Address, json: boolean) {
  const moves = new Patience(`the master at ${address} is not a voter yet`);
  for (let told = ''; ; ) {
    const state = await cairn.masters.add(address);
    if (state.standing === 'voter') return state;
    const lag = state.lag === undefined ? '' : `, ${formatCount(state.lag, 'entry', 'entries')} behind`;
    const now = `master ${state.id}: ${state.standing}${lag}`;
    if (!json && now !== told) printLine(now);
    told = now;
    await moves.pause(now);
  }
}

async function remove(invocation: Invocation, argument: string): Promise<void> {
  const id = masterId(argument);
  await withCluster(invocation, async (cairn) => {
    const moves = new Patience(`master ${id} is still part of the group`);
    while (!(await cairn.masters.remove(id))) await moves.pause('');
  });
  if (invocation.json) printJson({ removed: id });
  else printLine(`master ${id} does not belong to the cluster any more`);
}

/** Waits between two looks, as long as something moves. */
class Patience {
  readonly #what: string;
  #last: string | undefined;
  #movedAt = performance.now();

  constructor(what: string) {
    this.#what = what;
  }

  async pause(state: string): Promise<void> {
    if (state !== this.#last) this.#movedAt = performance.now();
    this.#last = state;
    if (performance.now() - this.#movedAt > patienceMs)
      throw new CairnError(
        'TIMED_OUT',
        `${this.#what}, and nothing has moved for ${patienceMs / 1000} s; it goes on by itself: look with \`cairn consensus status\``,
      );
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function masterId(text: string): number {
  const id = Number(text);
  if (/^\d{1,5}$/.test(text) && id >= 1 && id <= 65_535) return id;
  throw new CairnError('USAGE', `${text} is not the id of a master; \`cairn consensus status\` lists them`);
}

function addressOf(text: string): Address {
  if (isAddress(text)) return toAddress(text);
  throw new CairnError('USAGE', `${text} is not host:port; give the address at which the new master listens`);
}
