// The protocol of driver.py for peers in Node: `node driver.mjs COMMAND`, see there.
import fs from "node:fs";

export const DSN = process.env.BENCH_DSN ?? "";

export function now() {
  return Number(process.hrtime.bigint()) / 1e9;
}

let moments;
export function moment(published) {
  const started = now();
  moments ??= fs.openSync(process.env.BENCH_MOMENTS, "a");
  fs.writeSync(moments, `${published.toFixed(6)} ${started.toFixed(6)}\n`);
}

function tell(jobs, seconds) {
  console.log(JSON.stringify({ jobs, seconds }));
}

async function publish(driver, seconds, callers) {
  await Promise.all(Array.from({ length: callers }, () => driver.publish()));
  const began = now();
  let published = 0;
  const call = async () => {
    while (now() - began < seconds) {
      await driver.publish();
      published++;
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  tell(published, now() - began);
}

async function bulk(driver, jobs) {
  const began = now();
  for (let start = 0; start < jobs; start += driver.inBulk) {
    await driver.publishBulk(Math.min(driver.inBulk, jobs - start));
  }
  tell(jobs, now() - began);
}

async function momentsAtAPace(driver, jobs, pause) {
  // Connecting, which some peers do by their first publish, is no latency.
  await driver.publish();
  const began = now();
  for (let number = 0; number < jobs; number++) {
    const wait = began + number * pause - now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    await driver.publishMoment(now());
  }
  tell(jobs, now() - began);
}

async function mixed(driver, seconds, callers) {
  const began = now();
  let published = 0;
  const call = async () => {
    while (now() - began < seconds) {
      published++;
      await driver.publishMixed(published % 20 === 0, published % 10 === 5 ? 1 : 0);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  tell(published, now() - began);
}

const COMMANDS = { publish, bulk, moments: momentsAtAPace, mixed };

export async function main(driver) {
  const [command, ...numbers] = process.argv.slice(2);
  if (command === "worker") return driver.work();
  if (command === "setup") return driver.setup();
  await driver.open();
  try {
    await COMMANDS[command](driver, ...numbers.map(Number));
  } finally {
    await driver.close();
  }
}
