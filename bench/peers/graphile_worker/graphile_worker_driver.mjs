// graphile-worker by its library, with the preset that its docs recommend for throughput.
import { makeWorkerUtils, run, runMigrations } from "graphile-worker";
import { DSN, main, moment } from "./driver.mjs";

const BULK = `select count(*) from graphile_worker.add_jobs(
  array(select json_populate_recordset(null::graphile_worker.job_spec, $1::json)))`;

const preset = {
  worker: {
    connectionString: DSN,
    concurrentJobs: 100,
    maxPoolSize: 10,
    pollInterval: 2000,
    localQueue: { size: 2000 },
    completeJobBatchDelay: 10,
  },
};

let utils;
await main({
  inBulk: 100_000,
  async setup() {
    await runMigrations({ preset });
  },
  async open() {
    utils = await makeWorkerUtils({ preset });
  },
  async close() {
    await utils.release();
  },
  async publish() {
    await utils.addJob("nothing", {});
  },
  async publishBulk(jobs) {
    const specs = JSON.stringify(Array.from({ length: jobs }, () => ({ identifier: "nothing", payload: {} })));
    await utils.withPgClient((client) => client.query(BULK, [specs]));
  },
  async publishMoment(published) {
    await utils.addJob("moment", { published });
  },
  async publishMixed(retries, delay) {
    const runAt = delay ? new Date(Date.now() + delay * 1000) : undefined;
    await utils.addJob("mixed", { retries }, { runAt });
  },
  async work() {
    const runner = await run({
      preset,
      taskList: {
        nothing: async () => {},
        moment: async (payload) => moment(payload.published),
        // Its one way to ask for a retry; the delay is its own, 2.7 s.
        mixed: async (payload, { job }) => {
          if (payload.retries && job.attempts === 1) throw new Error("once more");
        },
      },
    });
    await runner.promise;
  },
});
