// Invocations a second of a Restate server on this machine's disk: sent one way, and run.
// Arguments: a folder for its data, invocations, how many are sent at once. Prints one number.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import path from "node:path";
import * as restate from "@restatedev/restate-sdk";

// The SDK asks for it of Node.js 22; of 20 it is all that is missing.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

// A server that loses an invocation would hold the bench for ever.
const DEADLINE_MS = 300_000;

const [folder, countText, atOnceText] = process.argv.slice(2);
const count = Number(countText);

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
const [ingress, admin, node, service] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);

let done = 0;
let isDone;
const all = new Promise((resolve) => (isDone = resolve));
const one = restate.service({
  name: "one",
  handlers: {
    step: async () => {
      done += 1;
      if (done === count) isDone();
    },
  },
});
await restate.serve({ services: [one], port: service });

const binary = createRequire(import.meta.url).resolve("@restatedev/restate-server-linux-x64/package.json");
const server = spawn(path.join(path.dirname(binary), "bin", "restate-server"), ["--base-dir", folder], {
  stdio: ["ignore", "ignore", "inherit"],
  env: {
    ...process.env,
    RESTATE_BIND_IP: "127.0.0.1",
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
    RESTATE_LOG_FILTER: "error",
  },
});
const answers = async (url, options) => {
  for (let attempt = 0; attempt < 600; attempt++) {
    try {
      const answer = await fetch(url, options);
      if (answer.ok) return answer;
    } catch {}
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
};
try {
  await answers(`http://127.0.0.1:${admin}/health`);
  await answers(`http://127.0.0.1:${admin}/deployments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ uri: `http://127.0.0.1:${service}`, force: true }),
  });
  await answers(`http://127.0.0.1:${ingress}/restate/health`);
  const began = performance.now();
  let next = 0;
  const send = async () => {
    while (next++ < count) {
      const sent = await fetch(`http://127.0.0.1:${ingress}/one/step/send`, { method: "POST" });
      if (!sent.ok) throw new Error(`${sent.status} ${await sent.text()}`);
      await sent.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: Number(atOnceText) }, send));
  const late = setTimeout(() => {
    console.error(`${done} of ${count} were run in ${DEADLINE_MS} ms`);
    server.kill("SIGTERM");
    process.exit(1);
  }, DEADLINE_MS);
  await all;
  clearTimeout(late);
  console.log(count / ((performance.now() - began) / 1000));
  process.exitCode = 0;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  server.kill("SIGTERM");
  process.exit();
}
