/** `cairn sim`: the simulator, loaded only here. */
import type { Invocation } from '../invocation.ts';

export async function run({ args, options, json }: Invocation): Promise<void> {
  const { defaultFlags, toRequest } = await import('../../../lab/simulator/sim-request.ts');
  const { simulate } = await import('../../../lab/simulator/simulate.ts');
  const { terminalOutput } = await import('../../../lab/simulator/terminal.ts');
  const request = toRequest(args, { ...defaultFlags, ...options, json });
  if (!(await simulate(request, terminalOutput(json)))) process.exitCode = 1;
}
