/**
 * The links between the nodes of a group. A message takes a random time, so messages overtake each other; it may be lost, arrive twice,
 * or arrive once more a long time after. Links are cut in each direction by itself; cuts of several faults add up.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import type { Agenda } from './agenda.ts';
import { hold } from './broken-rule.ts';

export interface Weather {
  /** Probabilities, per message. */
  readonly loss: number;
  readonly duplication: number;
  /** That a copy arrives once more, up to `lateMs` after. */
  readonly echo: number;
  readonly lateMs: number;
  readonly delayMs: readonly [number, number];
}

export const calm: Weather = { loss: 0, duplication: 0, echo: 0, lateMs: 0, delayMs: [0.3, 1] };

/** Marks of events begin here; see agenda.ts. */
const messageMark = 1 << 24;
const clientMark = 2 << 24;

/**
 * More than a group has to say in a tenth of a second: messages that beget messages. (Ten members of Multi-Paxos whose messages hold one value
 * fill an α-window with 4,600 messages and answers, and may change twice in that time.)
 */
const messagesInTenthMax = 20_000;

export class GroupNetwork {
  readonly #agenda: Agenda;
  readonly #random: SimRandom;
  readonly #cuts = new Map<number, number>();
  weather: Weather;
  messages = 0;
  /** The tenth of a second that it is, and how many messages there were before it. */
  #tenth = 0;
  #before = 0;

  constructor(agenda: Agenda, random: SimRandom, weather: Weather) {
    this.#agenda = agenda;
    this.#random = random;
    this.weather = weather;
  }

  /** @param arrive called once for each time that it arrives. @throws BrokenRule when there are ever more messages */
  send(from: NodeId, to: NodeId, arrive: () => void): void {
    this.#count();
    const { loss, duplication, echo, lateMs } = this.weather;
    const mark = messageMark | (from << 8) | to;
    const carried = () => {
      if (!this.isCut(from, to)) arrive();
    };
    if (!this.#random.chance(loss)) this.#agenda.after(this.delay(), mark, carried);
    if (this.#random.chance(duplication)) this.#agenda.after(this.delay(), mark, carried);
    if (this.#random.chance(echo)) this.#agenda.after(this.#random.next() * lateMs, mark, carried);
  }

  #count(): void {
    const tenth = Math.floor(this.#agenda.nowMs / 100);
    if (tenth !== this.#tenth) {
      this.#tenth = tenth;
      this.#before = this.messages;
    }
    this.messages += 1;
    const inTenth = this.messages - this.#before;
    hold(inTenth <= messagesInTenthMax, 'progress', () => `${inTenth} messages in a tenth of a second`);
  }

  /** Between a client and a node: no link of it is cut, and what is asked twice is asked by the client. */
  sendToOrFromClient(client: number, arrive: () => void): void {
    if (!this.#random.chance(this.weather.loss)) this.#agenda.after(this.delay(), clientMark | client, arrive);
  }

  delay(): number {
    const [least, most] = this.weather.delayMs;
    return least + this.#random.next() * (most - least);
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has((from << 8) | to);
  }

  cut(from: NodeId, to: NodeId): void {
    const link = (from << 8) | to;
    this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1);
  }

  join(from: NodeId, to: NodeId): void {
    const link = (from << 8) | to;
    const cuts = (this.#cuts.get(link) ?? 0) - 1;
    if (cuts > 0) this.#cuts.set(link, cuts);
    else this.#cuts.delete(link);
  }
}
