import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Scope } from '../scope.ts';
import { Mesh } from './mesh.ts';

const isRoot = process.getuid?.() === 0 && existsSync('/usr/sbin/ip');

/** Whether `from` reaches `to`, both by host; the answer has to come back. */
function reaches(mesh: Mesh, from: string, to: string): boolean {
  const script = `require('net').connect({host:'${mesh.host(to).address}',port:9}).on('error',(e)=>process.exit(e.code==='ECONNREFUSED'?0:1));setTimeout(()=>process.exit(1),400)`;
  try {
    execFileSync('nsenter', [`--net=/run/netns/${mesh.host(from).namespace}`, process.execPath, '-e', script]);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!isRoot)('a mesh of hosts', () => {
  let scope: Scope;
  let mesh: Mesh;
  beforeEach(async () => {
    scope = new Scope();
    mesh = await Mesh.make(scope, ['m1', 'm2', 'm3']);
  });
  afterEach(() => scope.close());

  it('lets each reach each; cut, the two no longer, while others still do; healed, again', () => {
    expect(reaches(mesh, 'm1', 'm2')).toBe(true);
    mesh.cut('m1', 'm2');
    expect([reaches(mesh, 'm1', 'm2'), reaches(mesh, 'm1', 'm3'), reaches(mesh, 'm3', 'm2')]).toEqual([
      false,
      true,
      true,
    ]);
    mesh.heal();
    expect(reaches(mesh, 'm1', 'm2')).toBe(true);
  });

  it('is gone with its scope', async () => {
    const { namespace } = mesh.host('m1');
    expect(readdirSync('/run/netns')).toContain(namespace);
    await scope.close();
    expect(readdirSync('/run/netns')).not.toContain(namespace);
    expect(execFileSync('ip', ['link'], { encoding: 'utf8' })).not.toContain(`cl${process.pid}-`);
  });
});
