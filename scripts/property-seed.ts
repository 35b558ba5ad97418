/**
 * Property tests draw the same cases each time, so that a failure is the change's and not the day's. `CAIRN_PROPERTY_SEED=N` draws
 * others, as a search for bugs.
 */
import fc from 'fast-check';

const seed = Number(process.env.CAIRN_PROPERTY_SEED ?? 1);
if (!Number.isInteger(seed))
  throw new Error(`CAIRN_PROPERTY_SEED must be an integer, not ${process.env.CAIRN_PROPERTY_SEED}`);
fc.configureGlobal({ seed });
