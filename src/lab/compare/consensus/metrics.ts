/** The names of what `consensus` measures. */
import type { LoadPlan } from '../load/loader.ts';

export function metricOf(operation: LoadPlan['operation'], clients: number, what: string): string {
  return `${operation === 'put' ? '' : `${operation} read `}${what} ${clients} ${clients === 1 ? 'client' : 'clients'}`;
}
