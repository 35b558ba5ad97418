/** Who fails over: each of our engines with each elector, and the peers that are installed, at their own time-outs and as near to ours as they take. */
import { defaultTiming, type ElectorName, type EngineName } from '../../../core/consensus/index.ts';
import { chosen, type Lab } from '../experiment.ts';
import { engineNames, offerOf } from '../groups/engines.ts';
import {
  cairnSubject,
  etcdSubjects,
  type GroupSettings,
  type GroupSubject,
  zookeeperSubjects,
} from '../groups/subjects.ts';
import { syncTicks, tickMs } from '../groups/zookeeper-group.ts';
import type { Findings } from '../report/findings.ts';

export const ours: GroupSettings = {
  electionTimeoutMs: { min: defaultTiming.electionTimeoutMinMs, max: defaultTiming.electionTimeoutMaxMs },
  heartbeatMs: defaultTiming.heartbeatIntervalMs,
};
/** etcd's own defaults; and ours, as near as it takes them (its heartbeat at most a fifth). */
const etcdDefaults: GroupSettings = { electionTimeoutMs: { min: 1000, max: 2000 }, heartbeatMs: 100 };
const etcdQuick: GroupSettings = { electionTimeoutMs: { min: 150, max: 300 }, heartbeatMs: 30 };

export interface FailoverSubject extends GroupSubject {
  readonly settings: GroupSettings;
  /** The first fault only. */
  readonly isBrief: boolean;
  /** These faults only. */
  readonly meets?: readonly string[];
  /** Trials of one fault in a round, at most. */
  readonly most: number;
  /** Partial partitions, too: where its time-outs are ours. */
  readonly meetsPartial: boolean;
}

export function failoverSubjects(lab: Lab, findings: Findings): FailoverSubject[] {
  const { quick } = lab.options;
  const engines = engineNames.flatMap((engine) =>
    electorsOf(engine, lab).map((elector): FailoverSubject => {
      const name = elector === 'timeout' ? engine : `${engine}+${elector}`;
      const subject = cairnSubject(name, engine, lab, { elector });
      return { ...subject, settings: ours, most: 100, isBrief: false, meetsPartial: true };
    }),
  );
  const etcd = etcdSubjects(findings).flatMap((subject): FailoverSubject[] => {
    const asIs = { ...subject, settings: etcdDefaults, most: 100, isBrief: quick, meetsPartial: false };
    if (quick) return [asIs];
    return [asIs, { ...asIs, name: 'etcd 150 ms', settings: etcdQuick, most: 2, meetsPartial: true }];
  });
  const zookeeper = zookeeperSubjects(findings).map((subject): FailoverSubject => {
    const settings = { electionTimeoutMs: { min: tickMs * syncTicks, max: tickMs * syncTicks }, heartbeatMs: tickMs };
    return { ...subject, settings, most: 1, meets: ['SIGKILL', 'SIGSTOP'], isBrief: quick, meetsPartial: false };
  });
  return chosen([...engines, ...etcd, ...zookeeper], lab, findings);
}

function electorsOf(engine: EngineName, { options: { quick } }: Lab): readonly ElectorName[] {
  const { electors } = offerOf(engine);
  return quick ? electors.slice(0, 1) : electors;
}
