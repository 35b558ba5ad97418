import { describe, expect, it } from 'vitest';
import { Scope, scoped } from './scope.ts';

describe('a scope', () => {
  it('undoes the last first, and each once', async () => {
    const undone: number[] = [];
    const scope = new Scope();
    for (const n of [1, 2, 3]) await scope.add(() => void undone.push(n));
    await Promise.all([scope.close(), scope.close()]);
    expect(undone).toEqual([3, 2, 1]);
  });

  it('undoes the rest when one cannot be undone, and tells', async () => {
    const undone: number[] = [];
    const scope = new Scope();
    await scope.add(() => void undone.push(1));
    await scope.add(() => {
      throw new Error('busy');
    });
    await expect(scope.close()).rejects.toThrow('could not tidy up: Error: busy');
    expect(undone).toEqual([1]);
  });

  it('that is closed undoes at once what comes late', async () => {
    let undone = false;
    const scope = new Scope();
    await scope.close();
    await expect(
      scope.add(() => {
        undone = true;
      }),
    ).rejects.toThrow('stopped');
    expect(undone).toBe(true);
  });

  it('closes the scopes within it, also when their work fails', async () => {
    const undone: string[] = [];
    const outer = new Scope();
    const failing = scoped(outer, async (inner) => {
      await inner.add(() => void undone.push('inner'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const open = await outer.inner();
    await open.add(() => void undone.push('open'));
    await outer.close();
    expect(undone).toEqual(['inner', 'open']);
  });
});
