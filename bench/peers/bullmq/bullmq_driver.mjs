// BullMQ on Redis.
import { Queue, Worker } from "bullmq";
import { DSN, main, moment } from "./driver.mjs";

const { hostname: host, port } = new URL(DSN || "redis://127.0.0.1:6379");
const connection = { host, port: Number(port), maxRetriesPerRequest: null };

let queue;
await main({
  inBulk: 1_000,
  async setup() {},
  async open() {
    queue = new Queue("bench", { connection });
    await queue.waitUntilReady();
  },
  async close() {
    await queue.close();
  },
  async publish() {
    await queue.add("nothing", {});
  },
  async publishBulk(jobs) {
    await queue.addBulk(Array.from({ length: jobs }, () => ({ name: "nothing", data: {} })));
  },
  async publishMoment(published) {
    await queue.add("moment", { published });
  },
  async work() {
    const run = async (job) => {
      if (job.name === "moment") moment(job.data.published);
    };
    const worker = new Worker("bench", run, { connection, concurrency: 50 });
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => worker.close().then(() => process.exit(0)));
  },
});
