/** The process that serves one transport. */
import { answer } from '../process/asking.ts';
import { Locator } from './locator.ts';
import { type Transport, type TransportName, transports } from './transports.ts';

export type ServerAnswers = typeof answers;

const answers = {
  serve: async ({ name, port }: { readonly name: TransportName; readonly port: number }): Promise<void> => {
    const transport: Transport = transports[name];
    await transport.serve(new Locator(), port);
  },
};

export function serve(): void {
  answer(answers);
}
