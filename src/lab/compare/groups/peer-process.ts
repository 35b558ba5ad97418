/** The process of one member of a peer: a program that is installed, started where the group puts it. */
import { join } from 'node:path';
import { OwnedProcess } from '../process/owned-process.ts';
import { type GroupOptions, until } from './group.ts';

export interface PeerProgram {
  /** Of the peer, for people. */
  readonly title: string;
  /** Of its files. */
  readonly file: string;
  readonly command: string;
  readonly args: readonly string[];
}

export class PeerProcess {
  readonly #options: GroupOptions;
  readonly #id: number;
  readonly #program: PeerProgram;
  #process: OwnedProcess | undefined;

  /** @param id of the member, from 1 on. */
  constructor(options: GroupOptions, id: number, program: PeerProgram) {
    this.#options = options;
    this.#id = id;
    this.#program = program;
  }

  get process(): OwnedProcess {
    if (this.#process === undefined) throw new Error(`${this.#program.title} ${this.#id} has not been started`);
    return this.#process;
  }

  async start(): Promise<void> {
    const { scope, directory, places } = this.#options;
    const { title, file, command, args } = this.#program;
    const { namespace } = places[this.#id - 1]!;
    this.#process = await OwnedProcess.start(scope, {
      name: `${title} member ${this.#id}`,
      command,
      args,
      logFile: join(directory, `${file}-${this.#id}.log`),
      ...(namespace === undefined ? {} : { namespace }),
    });
  }

  async restart(): Promise<void> {
    await this.process.kill();
    await this.start();
  }

  /** @throws Error with its last words when it has ended */
  mustRun(): void {
    if (!this.process.isRunning)
      throw new Error(`${this.#program.title} ${this.#id} ended\n${this.process.lastWords()}`);
  }
}

/** The place among the members of the one that leads, once one does. */
export function leaderAmong(
  title: string,
  deadlineMs: number,
  members: readonly { leads(): Promise<boolean> }[],
): Promise<number> {
  return until(`${title} has a leader`, deadlineMs, async () => {
    const leading = await Promise.all(members.map((member) => member.leads()));
    const at = leading.indexOf(true);
    return at < 0 ? undefined : at;
  });
}
