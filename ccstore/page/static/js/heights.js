// How high the rows of a long list are, and which of them is where: sums in a tree (Fenwick's), so that a
// million rows answer as quickly as a hundred.

/** Heights of rows; those not yet measured count as the estimate. */
export class Heights {
  constructor(estimate) {
    this.estimate = estimate;
    this.clear(0);
  }

  /** Begin again with so many rows. */
  clear(count) {
    this.count = 0;
    this.known = new Float64Array(64); // 0: not measured
    this.build();
    this.grow(count);
  }

  /** Rows come at the end, or go there. */
  grow(count) {
    if (count === this.count) return;
    if (count > this.known.length || count < this.count) {
      const known = new Float64Array(Math.max(64, 2 ** Math.ceil(Math.log2(count + 1))));
      known.set(this.known.subarray(0, Math.min(count, this.count)));
      this.known = known;
      this.count = count;
      this.build();
      return;
    }
    this.count = count;
  }

  /** Rows go at the beginning; gives how high they were together. */
  dropFront(number) {
    const gone = this.offset(number);
    const known = new Float64Array(this.known.length);
    known.set(this.known.subarray(number, this.count));
    this.known = known;
    this.count = Math.max(0, this.count - number);
    this.build();
    return gone;
  }

  build() {
    // The tree has what the rows differ from the estimate, so that rows that come need no entry.
    const size = this.known.length;
    this.tree = new Float64Array(size + 1);
    for (let at = 1; at <= size; at += 1) {
      const known = this.known[at - 1];
      this.tree[at] += known ? known - this.estimate : 0;
      const next = at + (at & -at);
      if (next <= size) this.tree[next] += this.tree[at];
    }
  }

  /** A row was measured; tells whether that is news. */
  set(index, height) {
    const before = this.known[index] || this.estimate;
    if (this.known[index] === height) return false;
    this.known[index] = height;
    const change = height - before;
    if (change) for (let at = index + 1; at < this.tree.length; at += at & -at) this.tree[at] += change;
    return change !== 0;
  }

  /** Where a row begins. */
  offset(index) {
    let sum = index * this.estimate;
    for (let at = Math.min(index, this.known.length); at > 0; at -= at & -at) sum += this.tree[at];
    return sum;
  }

  get total() {
    return this.offset(this.count);
  }

  /** The row that is at a place. */
  find(place) {
    let low = 0;
    let high = Math.max(0, this.count - 1);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offset(middle) <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
