// pg-boss with four pollers of large batches.
import * as module from "pg-boss";
import { DSN, main, moment } from "./driver.mjs";

const PgBoss = module.PgBoss ?? module.default;

async function started() {
  const boss = new PgBoss({ connectionString: DSN });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  for (const name of ["nothing", "moment"]) if (!(await boss.getQueue(name))) await boss.createQueue(name);
  return boss;
}

const insert = (boss, jobs) =>
  // Since version 11 the queue is an argument of its own.
  boss.insert.length > 1 ? boss.insert("nothing", jobs) : boss.insert(jobs.map((job) => ({ name: "nothing", ...job })));

let boss;
await main({
  inBulk: 10_000,
  async setup() {
    await (await started()).stop();
  },
  async open() {
    boss = await started();
  },
  async close() {
    await boss.stop({ graceful: false });
  },
  async publish() {
    await boss.send("nothing", {});
  },
  async publishBulk(jobs) {
    await insert(boss, Array.from({ length: jobs }, () => ({ data: {} })));
  },
  async publishMoment(published) {
    await boss.send("moment", { published });
  },
  async work() {
    boss = await started();
    const options = { batchSize: 5000, pollingIntervalSeconds: 0.5 };
    for (let poller = 0; poller < 4; poller++) await boss.work("nothing", options, async () => {});
    await boss.work("moment", options, async (jobs) => jobs.forEach((job) => moment(job.data.published)));
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => boss.stop().then(() => process.exit(0)));
  },
});
