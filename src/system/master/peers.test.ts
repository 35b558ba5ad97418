import { expect, test } from 'vitest';
import { toAddress, toNodeId } from '../../core/base/brand.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { Peers } from './peers.ts';

test('a connection on which nothing comes any more is opened anew, one that is used and well stays', async () => {
  const world = testWorld(1);
  const [a, b] = [world.node('a'), world.node('b')];
  const at = toAddress('b:7000');
  let connections = 0;
  let messages = 0;
  const routes = routesOf(masterCalls, {
    consensus: (_request, context) => {
      context.reply({});
      messages += 1;
      return { response: {} };
    },
    timeOfDay: () => ({ response: { wallNow: 1 } }),
  });
  await world.settle(
    b.env.network.listen(at, (connection) => {
      connections += 1;
      return RpcConnection.accept(b.env, connection, masterCalls, routes);
    }),
  );
  const peers = new Peers(a.env, () => toNodeId(1), { addressOf: () => at });
  const send = () => {
    peers.send(toNodeId(2), new Uint8Array([1]));
    a.env.clock.after(40, send);
  };
  send();
  await world.run(10_000);
  expect(connections).toBe(1);
  const heal = world.network.partition(['a'], ['b']);
  await world.run(4000);
  heal();
  const before = messages;
  await world.run(500);
  expect(connections).toBeGreaterThan(1);
  expect(messages).toBeGreaterThan(before);
  peers.close();
});

test('what is sent after the end opens no connection: the engine speaks until it has stopped', async () => {
  const world = testWorld(2);
  const [a, b] = [world.node('a'), world.node('b')];
  const at = toAddress('b:7000');
  const seen: string[] = [];
  await world.settle(
    b.env.network.listen(at, (connection) => {
      seen.push('opened');
      return RpcConnection.accept(b.env, connection, masterCalls, [], () => seen.push('closed'));
    }),
  );
  const peers = new Peers(a.env, () => toNodeId(1), { addressOf: () => at });
  peers.send(toNodeId(2), new Uint8Array([1]));
  await world.run(100);
  peers.close();
  peers.send(toNodeId(2), new Uint8Array([1]));
  await world.run(2000);
  expect(seen).toEqual(['opened', 'closed']);
});
