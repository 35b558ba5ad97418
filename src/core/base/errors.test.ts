import { describe, expect, it } from 'vitest';
import { CairnError, errorTable, isErrorCode, toCairnError } from './errors.ts';

describe('the error table', () => {
  it('gives each code an exit code from 1 to 14, and an HTTP status from 400', () => {
    for (const row of Object.values(errorTable)) {
      expect(row.exit).toBeGreaterThanOrEqual(1);
      expect(row.exit).toBeLessThanOrEqual(14);
      expect(row.http).toBeGreaterThanOrEqual(400);
    }
  });

  it('knows its codes, and not the names that every object has', () => {
    expect(isErrorCode('NOT_FOUND')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
  });

  it('keeps a CairnError as it is and turns anything else into INTERNAL with its cause', () => {
    const known = new CairnError('EXISTS', 'it exists');
    expect(toCairnError(known)).toBe(known);
    const cause = new Error('boom');
    expect(toCairnError(cause)).toMatchObject({ code: 'INTERNAL', message: 'boom', cause });
    expect(toCairnError('text')).toMatchObject({ code: 'INTERNAL', message: 'text' });
  });
});
