/** The lab's own processes: `node dist/lab-process.js ROLE`. Started by the lab only; each is told what to do over its channel. */

const roles: Readonly<Record<string, () => Promise<{ serve(): void }>>> = {
  member: () => import('../groups/member.ts'),
  load: () => import('../load/loader.ts'),
  'fig3-client': () => import('../gfs-fig3/client.ts'),
  files: () => import('../files/driver.ts'),
  'transport-server': () => import('../transport/server.ts'),
  'transport-client': () => import('../transport/calling.ts'),
};

const role = roles[process.argv[2] ?? ''];
if (role === undefined || process.send === undefined) {
  process.stderr.write('this program is started by `cairn lab`\n');
  process.exitCode = 2;
} else (await role()).serve();
