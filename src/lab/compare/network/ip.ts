/** `ip` and `tc`, many commands at once; they say what went wrong. */
import { execFileSync } from 'node:child_process';

/** @param namespace by name; undefined: where the lab runs. @throws Error with what the program said */
export function ip(commands: readonly string[], namespace?: string): void {
  batch('ip', commands, namespace);
}

export function tc(commands: readonly string[], namespace?: string): void {
  batch('tc', commands, namespace);
}

function batch(program: string, commands: readonly string[], namespace: string | undefined): void {
  if (commands.length === 0) return;
  const within = namespace === undefined ? [] : ['-n', namespace];
  try {
    execFileSync(program, [...within, '-batch', '-'], {
      input: `${commands.join('\n')}\n`,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    throw new Error(`${program} failed: ${stderr?.toString().trim() ?? String(error)}\n${commands.join('\n')}`);
  }
}
