/**
 * Hosts on two switches, each on a link of its own, with a trunk between the switches: the network of the GFS paper (§6.1). Switches are
 * bridges, hosts network namespaces; links and trunk pass no more than their rate, in each direction.
 */
import { ownName } from '../leftovers.ts';
import type { Scope } from '../scope.ts';
import { ip, tc } from './ip.ts';

export interface TwoSwitchesOptions {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly linkMbit: number;
  readonly trunkMbit: number;
}

export interface SwitchedHost {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
}

/**
 * Enough for a burst of what the kernel sends in one piece (64 KiB), and a queue of 170 full packets behind it. The queue is the same at all
 * rates, as packets are: a queue of so many ms would, on a slower network, be one that many senders' smallest windows overflow.
 */
const linkShape = (mbit: number) => `tbf rate ${mbit}mbit burst 64kb limit 256kb`;
const trunkShape = (mbit: number) => `tbf rate ${mbit}mbit burst 256kb limit 640kb`;

export async function makeTwoSwitches(scope: Scope, options: TwoSwitchesOptions): Promise<SwitchedHost[]> {
  const switches = { left: ownName('switch-left'), right: ownName('switch-right') };
  for (const name of Object.values(switches)) await makeSwitch(scope, name);
  ip([`link add trunk netns ${switches.left} type veth peer name trunk netns ${switches.right}`]);
  for (const name of Object.values(switches)) {
    ip(['link set trunk master br0', 'link set trunk up'], name);
    tc([`qdisc add dev trunk root ${trunkShape(options.trunkMbit)}`], name);
  }
  const hosts: SwitchedHost[] = [];
  for (const side of ['left', 'right'] as const)
    for (const name of options[side]) {
      const host = { name, namespace: ownName(name), address: `10.214.0.${hosts.length + 1}` };
      await makeHost(scope, host, switches[side], options.linkMbit);
      hosts.push(host);
    }
  return hosts;
}

async function makeNamespace(scope: Scope, name: string): Promise<void> {
  await scope.add(() => ip([`netns delete ${name}`]));
  ip([`netns add ${name}`]);
}

async function makeSwitch(scope: Scope, name: string): Promise<void> {
  await makeNamespace(scope, name);
  ip(['link add name br0 type bridge', 'link set br0 up'], name);
}

async function makeHost(scope: Scope, host: SwitchedHost, at: string, mbit: number): Promise<void> {
  await makeNamespace(scope, host.namespace);
  ip([`link add eth0 netns ${host.namespace} type veth peer name ${host.name} netns ${at}`]);
  ip(['link set lo up', `address add ${host.address}/24 dev eth0`, 'link set eth0 up'], host.namespace);
  ip([`link set ${host.name} master br0`, `link set ${host.name} up`], at);
  tc([`qdisc add dev eth0 root ${linkShape(mbit)}`], host.namespace);
  tc([`qdisc add dev ${host.name} root ${linkShape(mbit)}`], at);
}
