/**
 * Hosts as network namespaces, each joined to each other by a cable of its own, so that any of them can be cut alone, in one direction or
 * both. A cut cable swallows what is sent into it. It is cut at its sender, whose TCP knows that nothing left and tries again at a steady pace: behind a
 * switch that is broken elsewhere it would try ever more seldom. The lab itself is a host too.
 */
import { ownName } from '../leftovers.ts';
import type { Scope } from '../scope.ts';
import { ip, tc } from './ip.ts';

/** The lab, among the hosts. */
export const labHost = 'lab';

interface Host {
  readonly name: string;
  /** Undefined: where the lab runs. */
  readonly namespace: string | undefined;
  readonly address: string;
}

export class Mesh {
  readonly #hosts: readonly Host[];
  readonly #cut = new Set<string>();

  private constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
  }

  /** @param names of the hosts, short; the lab is added */
  static async make(scope: Scope, names: readonly string[]): Promise<Mesh> {
    const subnet = `10.213.${process.pid % 250}`;
    const hosts: Host[] = names.map((name, i) => ({ name, namespace: ownName(name), address: `${subnet}.${i + 1}` }));
    hosts.push({ name: labHost, namespace: undefined, address: `${subnet}.250` });
    const mesh = new Mesh(hosts);
    for (const { namespace } of hosts) {
      if (namespace === undefined) continue;
      await scope.add(() => ip([`netns delete ${namespace}`]));
      ip([`netns add ${namespace}`]);
    }
    await mesh.#wire(scope);
    return mesh;
  }

  host(name: string): { readonly namespace: string | undefined; readonly address: string } {
    return this.#host(name);
  }

  /** What `from` sends to `to` is lost from now on. */
  cutOneWay(from: string, to: string): void {
    this.cutAll([[from, to]]);
  }

  cut(a: string, b: string): void {
    this.cutAll([
      [a, b],
      [b, a],
    ]);
  }

  /** Each in its direction, and as nearly at once as the system allows. */
  cutAll(cables: readonly (readonly [from: string, to: string])[]): void {
    for (const { name, namespace } of this.#hosts) {
      const own = cables.filter(([from]) => from === name);
      for (const [from, to] of own) this.#cut.add(`${from}>${to}`);
      tc(
        own.map(([from, to]) => `qdisc replace dev ${this.#deviceOf(from, to)} root pfifo limit 0`),
        namespace,
      );
    }
  }

  /** From all others, or from those named. */
  isolate(name: string, from: readonly string[] = this.#hosts.map((host) => host.name)): void {
    const others = from.filter((other) => other !== name);
    this.cutAll(others.flatMap((other) => [[name, other] as const, [other, name] as const]));
  }

  heal(): void {
    for (const cable of this.#cut) {
      const [from, to] = cable.split('>') as [string, string];
      tc([`qdisc del dev ${this.#deviceOf(from, to)} root`], this.#host(from).namespace);
    }
    this.#cut.clear();
  }

  #host(name: string): Host {
    const found = this.#hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`the network has no host ${name}`);
    return found;
  }

  /** Where the lab runs there may be other labs: device names carry the pid, and hold 15 characters. */
  #deviceOf(from: string, to: string): string {
    return from === labHost ? `cl${process.pid}-${to}` : `to-${to}`;
  }

  async #wire(scope: Scope): Promise<void> {
    for (const host of this.#hosts) {
      if (host.namespace === undefined) continue;
      ip([`address add ${host.address}/32 dev lo`, 'link set lo up'], host.namespace);
    }
    for (const [i, a] of this.#hosts.entries()) for (const b of this.#hosts.slice(i + 1)) this.#join(a, b);
    // Other cables end with their namespaces; the ends where the lab runs would live on for a while.
    for (const { name, namespace } of this.#hosts)
      if (namespace !== undefined) await scope.add(() => ip([`link delete ${this.#deviceOf(labHost, name)}`]));
  }

  #join(a: Host, b: Host): void {
    const [one, other] = [this.#deviceOf(a.name, b.name), this.#deviceOf(b.name, a.name)];
    const at = (host: Host) => (host.namespace === undefined ? '' : ` netns ${host.namespace}`);
    ip([`link add ${one}${at(a)} type veth peer name ${other}${at(b)}`]);
    this.#address(a, one, b);
    this.#address(b, other, a);
  }

  #address(host: Host, device: string, peer: Host): void {
    const own = host.namespace === undefined ? [`address add ${host.address}/32 dev ${device}`] : [];
    const route = `route add ${peer.address}/32 dev ${device} src ${host.address}`;
    ip([...own, `link set ${device} up`, route], host.namespace);
  }
}
