/** A whole cluster in a simulated world without faults of its own: masters, chunkservers, and a client, for claims about the data plane. */
import { SimRandom } from '../../platform/sim/random.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import type { CairnClient } from '../../system/client/client.ts';
import { SimCluster } from '../simulator/cluster.ts';
import { makeWorld } from '../simulator/host.ts';
import { drawScenario, type Scenario } from '../simulator/scenario.ts';

export const chunkBytes = 256 * 1024;

export class DataPlane {
  readonly world: SimWorld;
  readonly cluster: SimCluster;
  readonly client: CairnClient;

  private constructor(world: SimWorld, cluster: SimCluster, client: CairnClient) {
    this.world = world;
    this.cluster = cluster;
    this.client = client;
  }

  static async start(seed: number, scenario: Partial<Scenario> = {}): Promise<DataPlane> {
    const world = makeWorld({ seed });
    const sizes = { masters: 3, chunkservers: 3, clients: 1, replication: 3, chunkBytes, clockDriftPpm: 0 };
    const drawn = { ...drawScenario(SimRandom.fromSeed('data plane')), ...sizes, ...scenario };
    const failures: unknown[] = [];
    const cluster = new SimCluster({
      world,
      engine: 'raft',
      scenario: drawn,
      onFailure: (_, error) => void failures.push(error),
    });
    cluster.bootAll();
    if (!(await world.runUntil(() => cluster.isUp, 20_000))) throw new Error('the cluster does not come up');
    const client = await world.settle(cluster.startClient(cluster.clientNodes[0]!.env), 20_000);
    return new DataPlane(world, cluster, client);
  }

  /** Runs the world until the promise has settled. */
  run<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    promise.catch(() => undefined);
    return this.world.settle(promise, limitMs);
  }

  anotherClient(name: string): Promise<CairnClient> {
    return this.run(this.cluster.startClient(this.world.node(name).env));
  }
}
