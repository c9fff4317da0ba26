// Measuring while a hand draws: one request at a time, and always the newest contours.

/** Runs the newest of a row of tasks, one after the other, so that no older answer comes last. */
export class Newest {
  constructor() {
    this.isRunning = false;
    /** @type {(() => Promise<void>) | null} */
    this.waiting = null;
    /** Times of the last answers in ms. @type {number[]} */
    this.times = [];
  }

  /** @param {() => Promise<void>} task */
  async run(task) {
    this.waiting = task;
    if (this.isRunning) return;
    this.isRunning = true;
    while (this.waiting) {
      const next = this.waiting;
      this.waiting = null;
      const begun = performance.now();
      try {
        await next();
      } finally {
        this.times.push(performance.now() - begun);
        if (this.times.length > 1000) this.times.shift();
      }
    }
    this.isRunning = false;
  }
}
