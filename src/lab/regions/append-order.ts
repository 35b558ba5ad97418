/** The order of appends, as clients see it: what was acknowledged before something else was begun lies before it. */

export interface Landed {
  readonly id: string;
  readonly position: number;
  /** By one clock, for all clients. */
  readonly begunAt: number;
  readonly endedAt: number | undefined;
}

/** Each that lies before something that had been acknowledged when it was begun, and which that is. */
export function outOfOrder(landed: readonly Landed[]): readonly { readonly one: Landed; readonly behind: Landed }[] {
  const ended = landed.filter(({ endedAt }) => endedAt !== undefined).sort((a, b) => a.endedAt! - b.endedAt!);
  let furthest: Landed | undefined;
  let next = 0;
  return [...landed]
    .sort((a, b) => a.begunAt - b.begunAt)
    .flatMap((one) => {
      for (; next < ended.length && ended[next]!.endedAt! < one.begunAt; next++)
        if (furthest === undefined || ended[next]!.position > furthest.position) furthest = ended[next]!;
      return furthest !== undefined && furthest.position > one.position ? [{ one, behind: furthest }] : [];
    });
}
