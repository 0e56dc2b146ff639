// Rows of a run at three resolutions, each of bounded length: the same rule as the server's Trace.

const FINE_ROWS = 1500;
const MIDDLE = { keep: 1500, step: 0.4 };
const WHOLE = { keep: 3000, step: 0.4 };
const STEP_ROWS_MAX = 64;

/** Two rows with the lowest and highest value of every column, whichever came first in the first one. */
export function fold(rows, whole) {
  if (rows.length <= 2) return rows;
  const first = rows[0].slice();
  const last = rows.at(-1).slice();
  for (let column = 0; column < first.length; column += 1) {
    if (whole.has(column)) continue; // Time and phase: as they were at both ends.
    let low = null;
    let high = null;
    for (const row of rows) {
      if (row[column] === null) continue;
      if (low === null || row[column] < low[column]) low = row;
      if (high === null || row[column] > high[column]) high = row;
    }
    const isRising = rows.indexOf(low) <= rows.indexOf(high);
    first[column] = low === null ? null : (isRising ? low : high)[column];
    last[column] = low === null ? null : (isRising ? high : low)[column];
  }
  return [first, last];
}

/** Two rows for each step of time, and what of the present step has come. */
class Thinned {
  constructor(step, whole) {
    this.step = step;
    this.whole = whole;
    this.rows = [];
    this.present = [];
  }

  add(row) {
    if (this.present.length > 0 && row[0] - this.present[0][0] >= this.step) {
      this.rows.push(...fold(this.present, this.whole));
      this.present = [];
    }
    this.present.push(row);
    if (this.present.length > STEP_ROWS_MAX) this.present = fold(this.present, this.whole);
  }

  halve() {
    const halved = [];
    for (let at = 0; at < this.rows.length; at += 4) halved.push(...fold(this.rows.slice(at, at + 4), this.whole));
    this.rows = halved;
    this.step *= 2;
  }

  all() {
    return this.present.length === 0 ? this.rows : [...this.rows, ...fold(this.present, this.whole)];
  }
}

export class Trace {
  constructor(columns) {
    this.columns = columns;
    this.ofEnds = new Set(["t", "phase"].map((name) => columns.indexOf(name)));
    this.begin([[], [], []]);
  }

  begin([fine, middle, whole]) {
    this.fine = fine;
    this.middle = new Thinned(MIDDLE.step, this.ofEnds);
    this.whole = new Thinned(WHOLE.step, this.ofEnds);
    this.middle.rows = middle;
    this.whole.rows = whole;
    // The server has two rows for a step as well.
    if (whole.length > 4) this.whole.step = Math.max(WHOLE.step, whole[2][0] - whole[0][0]);
  }

  add(rows) {
    for (const row of rows) {
      this.fine.push(row);
      this.middle.add(row);
      this.whole.add(row);
    }
    trim(this.fine, FINE_ROWS);
    trim(this.middle.rows, MIDDLE.keep);
    if (this.whole.rows.length > WHOLE.keep) this.whole.halve();
  }

  get last() {
    return this.fine.at(-1);
  }

  /** Returns columns of the last `seconds`, or of the whole run, up to time `end`. */
  window(seconds, end) {
    const rows = seconds === null ? this.whole.all() : seconds <= 30 ? this.fine : this.middle.all();
    const from = seconds === null ? 0 : firstAt(rows, end - seconds);
    return columnsOf(rows, from, firstAt(rows, end + 1e-9), this.columns.length);
  }
}

function trim(rows, keep) {
  // In slices: shifting one row at a time would move all others twenty times a second.
  if (rows.length > keep * 1.2) rows.splice(0, rows.length - keep);
}

/** Index of the first row not earlier than `time`. */
export function firstAt(rows, time) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function columnsOf(rows, from, to, count) {
  const columns = Array.from({ length: count }, () => new Array(Math.max(0, to - from)));
  for (let index = from; index < to; index += 1) {
    const row = rows[index];
    for (let column = 0; column < count; column += 1) columns[column][index - from] = row[column];
  }
  return columns;
}
