/** Bugs of the catalogue that this design has no place for. */
import type { NotApplicable } from './mutant.ts';

export const notApplicable: readonly NotApplicable[] = [];
