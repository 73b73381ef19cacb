// Jobs a second of graphile-worker: added, run by so many at once, and gone from the table.
// Arguments: the server's url, jobs, workers, "one" or "batched". Prints one number.
import { makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

const [url, countText, workersText, how] = process.argv.slice(2);
const count = Number(countText);
const isBatched = how === "batched";
const AT_ONCE = 64;
const BATCH = 100;
const quiet = () => () => {};
const { Logger } = await import("graphile-worker");
const logger = new Logger(quiet);

const schema = `graphile_${process.pid}`;
const pool = new pg.Pool({ connectionString: url, max: 40 });
const preset = isBatched
  ? { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } }
  : {};
const options = { pgPool: pool, schema, logger, preset };
const utils = await makeWorkerUtils(options);
await utils.migrate();
let done = 0;
let isDone;
const all = new Promise((resolve) => (isDone = resolve));
const runner = await run({
  ...options,
  concurrency: Number(workersText),
  noHandleSignals: true,
  taskList: {
    one: async () => {
      done += 1;
      if (done === count) isDone();
    },
  },
});
const began = performance.now();
if (isBatched) {
  for (let at = 0; at < count; at += BATCH) {
    const batch = Math.min(BATCH, count - at);
    await utils.addJobs(Array.from({ length: batch }, () => ({ identifier: "one", payload: {} })));
  }
} else {
  let next = 0;
  const add = async () => {
    while (next++ < count) await utils.addJob("one", {});
  };
  await Promise.all(Array.from({ length: AT_ONCE }, add));
}
await all;
for (;;) {
  const left = await pool.query(`select 1 from ${schema}._private_jobs limit 1`);
  if (left.rowCount === 0) break;
}
console.log(count / ((performance.now() - began) / 1000));
await runner.stop();
await pool.query(`drop schema ${schema} cascade`);
await utils.release();
await pool.end();
