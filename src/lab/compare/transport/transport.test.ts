import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('the transports', () => {
  it('all give the right answer, and none fails', slow, async () => {
    const { metric, report } = await quickly('transport');
    expect(report.subjects.map(({ name }) => name)).toEqual([
      'framed TCP',
      'framed TCP, own codec',
      'HTTP/1.1 + JSON',
      'HTTP/1.1 + JSON, no keep-alive',
      'gRPC unary',
      'gRPC unary, light client',
      'gRPC streaming',
      'gRPC-Web',
    ]);
    for (const { name } of report.subjects) {
      expect(metric(name, 'calls/s').median, name).toBeGreaterThan(10);
      expect(metric(name, 'errors').max, name).toBe(0);
    }
  });
});
