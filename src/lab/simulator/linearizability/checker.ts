/**
 * Is a history of concurrent calls linearizable: is there one order of them, each taking effect at a moment between its call and its
 * return, in which a sequential model gives every result that was seen? Searched depth first over the calls that may come next, as
 * Wing and Gong do, remembering each pair of (set of calls placed, state) that led nowhere, as Lowe does; each part of the model's state
 * that does not touch the others is searched alone. After Porcupine in its manner.
 *
 * Two observations keep the search small. A call that fits the state and does not change it may as well come at once, so nothing else is
 * tried in its place. And a call of unknown outcome is placed only where the next one would come out differently without it: else there is
 * an order without it there.
 *
 * A call without a known outcome may take effect at any moment from its call on, or never. The search is bounded: a history that takes
 * more work than that is not known to be right, and `gaveUp` must count as a failure.
 */

export interface Operation<Input, Output> {
  readonly client: number;
  /** Moments of one common clock or counter; a call whose return equals another's call overlaps it. */
  readonly invokedAt: number;
  /** Undefined: nobody knows whether it took effect. */
  readonly returned: { readonly at: number; readonly output: Output } | undefined;
  readonly input: Input;
}

export interface SequentialModel<Input, Output, State> {
  readonly initial: State;
  /** Operations of different parts do not see each other. */
  partOf(input: Input): string | number;
  /** The state after it, or `impossible` if it cannot have had this output. An undefined output is not known. */
  step(state: State, input: Input, output: Output | undefined): State | typeof impossible;
  /** Equal for equal states. */
  keyOf(state: State): string | number;
}

export const impossible = Symbol('impossible');

export type Verdict<Input, Output> =
  | { readonly kind: 'linearizable'; readonly work: number }
  | ({ readonly kind: 'violation'; readonly work: number; readonly part: string | number } & Explanation<Input, Output>)
  | { readonly kind: 'gaveUp'; readonly work: number; readonly part: string | number };

interface Explanation<Input, Output> {
  /** The longest order that was possible. */
  readonly placed: readonly Operation<Input, Output>[];
  /** One of these must come next, and none can. */
  readonly stuck: readonly Operation<Input, Output>[];
}

/** Calls tried in one part; far more than any history needs that is right. */
export const defaultWorkMax = 2_000_000;

export function checkLinearizable<Input, Output, State>(
  model: SequentialModel<Input, Output, State>,
  operations: readonly Operation<Input, Output>[],
  workMax = defaultWorkMax,
): Verdict<Input, Output> {
  const parts = new Map<string | number, Operation<Input, Output>[]>();
  for (const operation of operations) {
    const part = model.partOf(operation.input);
    const known = parts.get(part);
    if (known === undefined) parts.set(part, [operation]);
    else known.push(operation);
  }
  let work = 0;
  for (const [part, of] of parts) {
    const search = new Search(model, of, workMax);
    const outcome = search.run();
    work += search.work;
    if (outcome === 'gaveUp') return { kind: 'gaveUp', work, part };
    if (outcome === 'violation')
      return { kind: 'violation', work, part, ...new Search(model, of, workMax).explain(search.longest) };
  }
  return { kind: 'linearizable', work };
}

/** One call in a list of those that are not placed, ordered by invocation. */
interface Call<Input, Output> {
  readonly operation: Operation<Input, Output>;
  /** Its place in that order; −1 for the head of a list. */
  readonly number: number;
  readonly returnedAt: number;
  previous: Call<Input, Output> | undefined;
  next: Call<Input, Output> | undefined;
}

interface Placed<Input, Output, State> {
  readonly call: Call<Input, Output>;
  readonly stateBefore: State;
  readonly highestBefore: number;
  /** If nothing comes of it, nothing comes of any other in its place. */
  readonly isForced: boolean;
}

class Search<Input, Output, State> {
  readonly #model: SequentialModel<Input, Output, State>;
  readonly #workMax: number;
  /** Heads of the lists of calls with a known outcome and without. */
  readonly #known: Call<Input, Output>;
  readonly #unknown: Call<Input, Output>;
  #knownLeft: number;
  #state: State;
  /** The highest number among the known calls that are placed. */
  #highest = -1;
  readonly #placed: Placed<Input, Output, State>[] = [];
  /** Sets of placed calls and states that were reached before, as text: nothing new comes of them. */
  readonly #reached = new Set<string>();
  work = 0;
  /** The most calls that were placed where none could come next. */
  longest = 0;

  constructor(
    model: SequentialModel<Input, Output, State>,
    operations: readonly Operation<Input, Output>[],
    workMax: number,
  ) {
    this.#model = model;
    this.#workMax = workMax;
    this.#state = model.initial;
    const ordered = [...operations].sort((a, b) => a.invokedAt - b.invokedAt);
    const known = ordered.filter(isKnown);
    this.#known = listOf(known);
    this.#unknown = listOf(ordered.filter((operation) => !isKnown(operation)));
    this.#knownLeft = known.length;
  }

  /** Calls of unknown outcome that are left when all others are placed took effect afterwards, or never. */
  run(): 'linearizable' | 'violation' | 'gaveUp' {
    let tried: Call<Input, Output> | undefined;
    while (this.#knownLeft > 0) {
      const next = this.#findNext(tried);
      if (this.work > this.#workMax) return 'gaveUp';
      tried = undefined;
      if (next !== undefined) continue;
      this.longest = Math.max(this.longest, this.#placed.length);
      tried = this.#goBack();
      if (tried === undefined) return 'violation';
    }
    return 'linearizable';
  }

  /** Takes back the last call that others may take the place of; undefined if there is none. */
  #goBack(): Call<Input, Output> | undefined {
    for (;;) {
      const last = this.#placed.pop();
      if (last === undefined) return undefined;
      this.#takeBack(last);
      if (!last.isForced) return last.call;
    }
  }

  /** After a search that found no order: goes the same way once more, to the point where the most calls were placed. */
  explain(longest: number): Explanation<Input, Output> {
    for (let tried: Call<Input, Output> | undefined; ; ) {
      const next = this.#findNext(tried);
      tried = undefined;
      if (next !== undefined) continue;
      if (this.#placed.length === longest)
        return { placed: this.#placed.map(({ call }) => call.operation), stuck: this.#stuck() };
      tried = this.#goBack();
    }
  }

  /** Places the first call that can come next, known ones before unknown ones; of those behind `tried`, if given. */
  #findNext(tried: Call<Input, Output> | undefined): Call<Input, Output> | undefined {
    const until = this.#earliestReturn();
    if (tried !== undefined && !isKnown(tried.operation)) return this.#placeOneOf(tried.next, until);
    if (tried === undefined) {
      const free = this.#findFree(until);
      if (free !== undefined) return this.#placeIfNew(free, this.#state, true) ? free : undefined;
    }
    return this.#placeOneOf((tried ?? this.#known).next, until) ?? this.#placeOneOf(this.#unknown.next, until);
  }

  /** A known call that can come next and leaves the state as it is. */
  #findFree(until: number): Call<Input, Output> | undefined {
    for (let call = this.#known.next; call !== undefined && call.operation.invokedAt <= until; call = call.next) {
      this.work += 1;
      const state = this.#stateAfter(call);
      if (state !== impossible && this.#isSame(state, this.#state)) return call;
    }
    return undefined;
  }

  /** `impossible` also where the call of unknown outcome before it would be of no use. */
  #stateAfter({ operation: { input, returned } }: Call<Input, Output>): State | typeof impossible {
    const state = this.#model.step(this.#state, input, returned?.output);
    const last = this.#placed.at(-1);
    if (state === impossible || last === undefined || isKnown(last.call.operation)) return state;
    const without = this.#model.step(last.stateBefore, input, returned?.output);
    return without !== impossible && this.#isSame(without, state) ? impossible : state;
  }

  #isSame(a: State, b: State): boolean {
    return this.#model.keyOf(a) === this.#model.keyOf(b);
  }

  #placeOneOf(first: Call<Input, Output> | undefined, until: number): Call<Input, Output> | undefined {
    for (let call = first; call !== undefined && call.operation.invokedAt <= until; call = call.next) {
      this.work += 1;
      const state = this.#stateAfter(call);
      if (state === impossible || (!isKnown(call.operation) && this.#isSame(state, this.#state))) continue;
      if (this.#placeIfNew(call, state, false)) return call;
    }
    return undefined;
  }

  #placeIfNew(call: Call<Input, Output>, state: State, isForced: boolean): boolean {
    this.#place(call, state, isForced);
    if (this.#isNew()) return true;
    this.#takeBack(this.#placed.pop()!);
    return false;
  }

  /** What was called later than this cannot come next: somebody who is not placed had returned by then. */
  #earliestReturn(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (let call = this.#known.next; call !== undefined && call.operation.invokedAt <= earliest; call = call.next)
      if (call.returnedAt < earliest) earliest = call.returnedAt;
    return earliest;
  }

  /** Few clients are at work at a time, so few calls before the highest that is placed are not: they tell the set. */
  #isNew(): boolean {
    let key = `${this.#highest}`;
    for (let call = this.#known.next; call !== undefined && call.number < this.#highest; call = call.next)
      key += `,${call.number}`;
    key += '?';
    for (let call = this.#unknown.next; call !== undefined; call = call.next) key += `,${call.number}`;
    key += `=${this.#model.keyOf(this.#state)}`;
    const last = this.#placed.at(-1)!;
    if (!isKnown(last.call.operation)) key += `@${this.#model.keyOf(last.stateBefore)}`;
    if (this.#reached.has(key)) return false;
    this.#reached.add(key);
    return true;
  }

  #place(call: Call<Input, Output>, state: State, isForced: boolean): void {
    this.#placed.push({ call, stateBefore: this.#state, highestBefore: this.#highest, isForced });
    this.#state = state;
    call.previous!.next = call.next;
    if (call.next !== undefined) call.next.previous = call.previous;
    if (!isKnown(call.operation)) return;
    this.#highest = Math.max(this.#highest, call.number);
    this.#knownLeft -= 1;
  }

  #takeBack({ call, stateBefore, highestBefore }: Placed<Input, Output, State>): void {
    this.#state = stateBefore;
    this.#highest = highestBefore;
    call.previous!.next = call;
    if (call.next !== undefined) call.next.previous = call;
    if (isKnown(call.operation)) this.#knownLeft += 1;
  }

  /** The calls of which one must come next, and none can. */
  #stuck(): Operation<Input, Output>[] {
    const until = this.#earliestReturn();
    const stuck: Operation<Input, Output>[] = [];
    for (let call = this.#known.next; call !== undefined && call.operation.invokedAt <= until; call = call.next)
      stuck.push(call.operation);
    return stuck;
  }
}

function isKnown({ returned }: Operation<unknown, unknown>): boolean {
  return returned !== undefined;
}

function listOf<Input, Output>(operations: readonly Operation<Input, Output>[]): Call<Input, Output> {
  const head = { number: -1, returnedAt: 0, previous: undefined, next: undefined } as unknown as Call<Input, Output>;
  let last = head;
  operations.forEach((operation, number) => {
    const returnedAt = operation.returned?.at ?? Number.POSITIVE_INFINITY;
    const call: Call<Input, Output> = { operation, number, returnedAt, previous: last, next: undefined };
    last.next = call;
    last = call;
  });
  return head;
}
