/** Raft's logical clock (§5.1): at most one leader in each. */
import { type Brand, naturalBrand } from '../../base/brand.ts';

export type Term = Brand<number, 'Term'>;
export const toTerm = naturalBrand<Term>('a term');
