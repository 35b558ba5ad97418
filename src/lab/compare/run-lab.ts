/** Runs experiments, one after another: each in a scope of its own, each with its report written before the next begins. */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { makeDirectory } from '../../platform/node/make-directory.ts';
import { describeEnvironment } from './environment.ts';
import type { Experiment, Lab, LabOptions } from './experiment.ts';
import { experiments } from './experiments.ts';
import { ownName, removeLeftovers } from './leftovers.ts';
import { whyNoNetworks } from './network/possible.ts';
import { planLines } from './plan.ts';
import { Findings } from './report/findings.ts';
import { renderPage } from './report/page.ts';
import type { Report } from './report/report.ts';
import { Scope } from './scope.ts';

export { experiments } from './experiments.ts';
export { toTable } from './report/table.ts';

const defaultDiskMiB = 2048;

export interface LabRun {
  readonly names: readonly string[];
  readonly options: LabOptions;
  /** Reports go below it: NAME/report.json and NAME/report.html. Undefined: nowhere. */
  readonly out: string | undefined;
  say(line: string): void;
  done(report: Report, folder: string | undefined): void;
}

export class LabSession {
  readonly #run: LabRun;
  readonly #scope = new Scope();
  #isClosed = false;

  /** @throws CairnError USAGE for a name that is none */
  constructor(run: LabRun) {
    this.#run = run;
    for (const name of run.names) find(name);
  }

  /**
   * One that fails does not keep the others from being measured.
   * @throws what experiments throw, after everything they made is gone, and all others have had their turn
   */
  async run(): Promise<void> {
    const { names, options, out, say } = this.#run;
    if (out !== undefined) makeDirectory(resolve(out)); // that it cannot be made should not be told after an hour
    for (const left of removeLeftovers(options.scratch)) say(`removed ${left}, left behind by a lab that was killed`);
    if (!options.quick) for (const line of planLines(names.map(find), options)) say(line);
    const failures: { name: string; error: CairnError }[] = [];
    for (const name of names) {
      try {
        await this.#one(find(name));
      } catch (thrown) {
        if (names.length === 1 || this.#isClosed) throw thrown;
        const error = toCairnError(thrown);
        failures.push({ name, error });
        say(`${name} failed: ${error.message}`);
      }
    }
    if (failures.length > 0) throw allOf(failures);
  }

  /** Ends whatever is under way; `run` then rejects. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#scope.close();
  }

  async #one(experiment: Experiment): Promise<void> {
    const { options, out, say, done } = this.#run;
    const lacking = experiment.needsNetworks === true ? whyNoNetworks() : undefined;
    if (lacking !== undefined) throw new CairnError('NOT_SUPPORTED', `${experiment.name}: ${lacking}`);
    const scope = await this.#scope.inner();
    const findings = new Findings();
    const startedAt = performance.now();
    try {
      const root = await scratchDirectory(experiment, options, scope);
      const environment = describeEnvironment(root);
      say(`${experiment.name}: ${experiment.question}`);
      await experiment.run(makeLab(options, scope, root, say), findings);
      findings.settings.quick = options.quick;
      findings.settings.tookSeconds = Math.round((performance.now() - startedAt) / 1000);
      const report = findings.report(experiment.name, experiment.question, environment);
      done(report, out === undefined ? undefined : write(report, out));
    } finally {
      await scope.close();
    }
  }
}

function allOf(failures: readonly { readonly name: string; readonly error: CairnError }[]): CairnError {
  const told = failures.map(({ name, error }) => `${name}: ${error.message}`);
  return new CairnError(failures[0]!.error.code, told.join('; '), { cause: failures[0]!.error });
}

function find(name: string): Experiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found !== undefined) return found;
  throw new CairnError('USAGE', `there is no experiment ${name}; see \`cairn lab list\``);
}

async function scratchDirectory(
  { name, diskMiB = defaultDiskMiB }: Experiment,
  { scratch, quick }: LabOptions,
  scope: Scope,
): Promise<string> {
  makeDirectory(scratch);
  const root = mkdtempSync(join(scratch, ownName('')));
  await scope.add(() => rmSync(root, { recursive: true, force: true }));
  const { bavail, bsize } = statfsSync(root);
  const freeMiB = Math.floor((bavail * bsize) / 2 ** 20);
  const wantedMiB = quick ? Math.min(diskMiB, defaultDiskMiB) : diskMiB;
  if (freeMiB < wantedMiB)
    throw new CairnError(
      'DISK_FULL',
      `${scratch} has ${freeMiB} MiB free; ${name} wants ${wantedMiB}; name another place with --scratch`,
    );
  return root;
}

function makeLab(options: LabOptions, scope: Scope, root: string, say: (line: string) => void): Lab {
  let portNext = options.portBase;
  return {
    options,
    scope,
    say,
    directory: async (within) => {
      const dir = mkdtempSync(join(root, 'd-'));
      await within.add(() => rmSync(dir, { recursive: true, force: true }));
      return dir;
    },
    ports: async (count) => {
      const found: number[] = [];
      for (let tried = 0; found.length < count; tried++) {
        if (tried > 2000)
          throw new CairnError(
            'PORT_IN_USE',
            `no ${count} free ports from ${options.portBase} on; choose another --port-base`,
          );
        if (portNext >= options.portBase + 200) portNext = options.portBase;
        const port = portNext++;
        if (await isFree(port)) found.push(port);
      }
      return found;
    },
  };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const server = createServer();
    server.once('error', () => settle(false));
    server.listen(port, '127.0.0.1', () => server.close(() => settle(true)));
  });
}

function write(report: Report, out: string): string {
  const folder = resolve(out, report.experiment);
  makeDirectory(folder);
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(folder, 'report.html'), renderPage(report));
  return folder;
}
