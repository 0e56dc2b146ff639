// Rows of a run at three resolutions, each of bounded length: the same rule as the server's Trace.

const LEVELS = [
  { keep: 1500, step: 0 },
  { keep: 1500, step: 0.2 },
  { keep: 3000, step: 0.2 },
];
const ALMOST = 0.75;

export class Trace {
  constructor(columns) {
    this.columns = columns;
    this.levels = [[], [], []];
    this.wholeStep = LEVELS[2].step;
  }

  begin(history) {
    this.levels = history;
    const whole = history[2];
    this.wholeStep = LEVELS[2].step;
    if (whole.length > 2) this.wholeStep = Math.max(this.wholeStep, whole[1][0] - whole[0][0]);
  }

  add(rows) {
    const [fine, middle, whole] = this.levels;
    for (const row of rows) {
      fine.push(row);
      if (isDue(middle, row, LEVELS[1].step)) middle.push(row);
      if (isDue(whole, row, this.wholeStep)) whole.push(row);
    }
    trim(fine, LEVELS[0].keep);
    trim(middle, LEVELS[1].keep);
    if (whole.length > LEVELS[2].keep) {
      this.levels[2] = whole.filter((_, index) => index % 2 === 0);
      this.wholeStep *= 2;
    }
  }

  get last() {
    return this.levels[0].at(-1);
  }

  /** Returns columns of the last `seconds`, or of the whole run, up to time `end`. */
  window(seconds, end) {
    const level = seconds === null ? 2 : seconds <= 30 ? 0 : 1;
    const rows = this.levels[level];
    const from = seconds === null ? 0 : firstAt(rows, end - seconds);
    return columnsOf(rows, from, firstAt(rows, end + 1e-9), this.columns.length);
  }
}

function isDue(rows, row, step) {
  return rows.length === 0 || row[0] - rows.at(-1)[0] >= ALMOST * step;
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
