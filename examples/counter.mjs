// A replicated counter over HTTP: three processes, any of which may be killed and started again.
//
//     node examples/counter.mjs 1 & node examples/counter.mjs 2 & node examples/counter.mjs 3 &
//     curl -X POST localhost:8001/visits     # counts, at whichever member is asked
//     curl localhost:8002/visits             # the same number, at any other
import { createServer } from 'node:http';
import { MultiPaxos, Raft, ReplicatedNode } from 'cairn/consensus';

const [id = '1', name = 'raft', dir = `counter-${id}`, portBase = '8000'] = process.argv.slice(2);
const members = Object.fromEntries([1, 2, 3].map((n) => [n, `127.0.0.1:${Number(portBase) + 100 + n}`]));
const text = (bytes) => new TextDecoder().decode(bytes);
const bytes = (value) => new TextEncoder().encode(String(value));

/** The state is in the store: it is durable, and travels to members that were away. */
const countOf = (name, store) => Number(text(store.get(`count ${name}`) ?? bytes(0)));

const machine = {
  apply(command, { store }) {
    const name = text(command);
    const count = countOf(name, store) + 1;
    store.put(`count ${name}`, bytes(count));
    return bytes(count);
  },
  query: (question, store) => bytes(countOf(text(question), store)),
};

const engine = { raft: Raft, paxos: MultiPaxos }[name];
const node = await ReplicatedNode.start({ id: Number(id), members, dir, engine, machine });

const server = createServer(async ({ method, url }, response) => {
  const name = bytes(url.slice(1));
  const answer = method === 'POST' ? node.execute(name) : node.query(name);
  await answer.then(
    (count) => response.end(`${text(count)}\n`),
    (error) => response.writeHead(503).end(`${error.code}: ${error.message}\n`),
  );
});
server.listen(Number(portBase) + Number(id), '127.0.0.1', () => console.log(`member ${id} is ready`));
process.once('SIGTERM', () => void node.close().then(() => process.exit()));
