// Drives a headless Chromium over its debugging pipe, without any package, and checks each page named on the command line:
//
// - nothing is logged as an error, nothing is asked of the network, and no text of the scenario has become script;
// - every chart is drawn, on a desk, in the dark and on a phone, where nothing is wider than the screen;
// - the slider and the buttons of the view work from the keyboard, and charts, log and map of hosts follow;
// - on the page of a comparison log and map are those of the variant that is chosen;
// - it can be printed; with AXE set, axe-core finds nothing to complain about.
"use strict";
const { spawn } = require("node:child_process");
const { mkdtempSync, readFileSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");

const [browser, ...pages] = process.argv.slice(2);
const profile = mkdtempSync(path.join(tmpdir(), "ecsim-page-"));
const chromium = spawn(
  browser,
  ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${profile}`],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
const [toBrowser, fromBrowser] = [chromium.stdio[3], chromium.stdio[4]];

let number = 0;
let unread = "";
const waiting = new Map();
let listen = () => {};
fromBrowser.on("data", (chunk) => {
  const messages = (unread + chunk).split("\0");
  unread = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    const caller = waiting.get(message.id);
    waiting.delete(message.id);
    if (!caller) listen(message);
    else if (message.error) caller.reject(new Error(message.error.message));
    else caller.resolve(message.result);
  }
});
const send = (method, params = {}, sessionId = undefined) =>
  new Promise((resolve, reject) => {
    number += 1;
    waiting.set(number, { resolve, reject });
    toBrowser.write(JSON.stringify({ id: number, method, params, sessionId }) + "\0");
  });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const failures = [];
const hold = (condition, what) => condition || failures.push(what);

async function check(file, { width, dark = false, mobile = false, deep = false }) {
  const where = `${path.basename(path.dirname(file))}/${path.basename(file)} at ${width} px${dark ? " in the dark" : ""}`;
  const fine = (condition, what) => hold(condition, `${where}: ${what}`);
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const tell = (method, params) => send(method, params, sessionId);
  listen = ({ method, params }) => {
    if (method === "Runtime.exceptionThrown") fine(false, `exception: ${params.exceptionDetails.exception?.description}`);
    if (method === "Log.entryAdded" && params.entry.level === "error") fine(false, `logged: ${params.entry.text}`);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") fine(false, `console: ${JSON.stringify(params.args)}`);
    if (method === "Network.requestWillBeSent" && !/^(file|data|blob|about):/.test(params.request.url)) fine(false, `asked for ${params.request.url}`);
  };
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await tell(`${domain}.enable`);
  if (process.env.AXE) await tell("Page.setBypassCSP", { enabled: deep });
  await tell("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile });
  await tell("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  await tell("Page.navigate", { url: "file://" + path.resolve(file) });
  const ask = async (expression) => {
    const { result, exceptionDetails } = await tell("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${where}: ${exceptionDetails.exception?.description}`);
    return result.value;
  };
  const key = async (name, code) => {
    for (const type of ["rawKeyDown", "keyUp"]) await tell("Input.dispatchKeyEvent", { type, key: name, code: name, windowsVirtualKeyCode: code });
    await pause(100);
    // What a key changes is shown with the next frame, which a busy machine may be late with.
    await ask(`new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(() => shown(0))))`);
  };
  for (let tries = 0; tries < 100 && (await ask("document.readyState")) !== "complete"; tries += 1) await pause(100);

  // Charts are drawn as they come near; a busy machine takes its time.
  await ask(`(async () => {
    for (const figure of document.querySelectorAll("figure:not([hidden])")) {
      figure.scrollIntoView({ behavior: "instant" });
      for (let tries = 0; tries < 200 && !figure.querySelector(".scatterlayer .trace path"); tries += 1) {
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  })()`);
  const charts = await ask(`[...document.querySelectorAll("figure:not([hidden])")].map((figure) =>
    [figure.dataset.figure, figure.querySelectorAll(".scatterlayer .trace path").length])`);
  fine(charts.length > 0, "there are no charts");
  for (const [id, paths] of charts) fine(paths > 0, `chart ${id} is not drawn`);
  fine((await ask("document.documentElement.scrollWidth - innerWidth")) <= 0, "it is wider than the screen");
  fine((await ask("typeof hacked")) === "undefined", "a text of the scenario has become script");

  const told = `["view", "clock", "log-count", "map-told"].map((id) => document.getElementById(id)?.textContent)
    .concat(document.querySelector(".legend output")?.textContent, document.querySelector("[aria-current] button")?.textContent)`;
  await ask(`document.querySelector("#moment").focus()`);
  await key("Home", 36);
  const before = await ask(told);
  await key("End", 35);
  const after = await ask(told);
  fine(before[1] !== after[1], "the slider does not move from the keyboard");
  fine(before[3] === null || before[3] !== after[3], "the map of hosts does not follow the slider");
  const decisions = await ask(`document.querySelectorAll("#log-lines li").length`);
  fine(before[5] === null || decisions < 2 || before[5] !== after[5], "the log does not follow the slider");
  await ask(`document.querySelector("[data-view=in]").focus()`);
  await key(" ", 32);
  const closer = await ask(told);
  fine(closer[0] !== after[0], "the view does not narrow from the keyboard");
  fine(closer[2] === null || closer[2] !== after[2], "the log does not follow the view");
  const ranges = await ask(`[...document.querySelectorAll(".chart")].filter((chart) => chart.offsetParent && chart._fullLayout &&
    chart.getBoundingClientRect().top > -200 && chart.getBoundingClientRect().top < innerHeight + 200)
    .map((chart) => chart._fullLayout.xaxis.range.join())`);
  fine(new Set(ranges).size <= 1, "charts in sight show different times");

  if (await ask(`Boolean(document.querySelector("#variant"))`)) {
    const shown = `["kinds", "log-lines", "map", "map-told"].map((id) => document.getElementById(id)?.textContent).join()`;
    const first = await ask(shown);
    await ask(`document.querySelector("#variant").focus()`);
    await key("ArrowDown", 40);
    // Variants may have decided the same.
    const alike = `(([one, other]) => JSON.stringify([one.log, one.map]) === JSON.stringify([other.log, other.map]))(
      JSON.parse(document.getElementById("data").textContent).details)`;
    fine((await ask(shown)) !== first || (await ask(alike)), "log and map do not follow the variant");
    fine((await ask(`document.querySelector("#variant-too")?.selectedIndex ?? 1`)) === 1, "log and map are of different variants");
  }

  if (deep) {
    const { data } = await tell("Page.printToPDF", {});
    fine(data.length > 10000, "there is nothing to print");
  }
  if (deep && process.env.AXE) {
    await ask(readFileSync(process.env.AXE, "utf8") + "; 0");
    const complaints = await ask(`axe.run().then(({ violations }) => violations.map((one) => one.id + ": " + one.help + " " + one.nodes[0].html.slice(0, 200)))`);
    for (const complaint of complaints) fine(false, complaint);
  }
  await send("Target.closeTarget", { targetId });
}

// A profile that cannot be removed while the browser's last processes still write to it is no failing of a page.
function leave(status) {
  try {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  } catch (error) {
    console.error(`left behind: ${profile} (${error.code})`);
  }
  process.exit(status);
}

// What stands in the way of looking is said, and is no failing of a page either.
function skip(why) {
  console.error(`SKIPPED: the pages are looked at by nobody: ${why}`);
  chromium.kill("SIGKILL");
  leave(0);
}

let over = false;
chromium.on("error", (error) => skip(`the browser does not start (${error.code})`));
chromium.on("exit", (code, signal) => over || skip(`the browser has ended by itself (${signal ?? code})`));
toBrowser.on("error", () => {});
const patience = (seconds, what) => setTimeout(() => skip(`${what} within ${seconds} s`), seconds * 1000);

(async () => {
  const start = patience(60, "the browser does not answer");
  await send("Browser.getVersion");
  clearTimeout(start);
  patience(300, "the browser is not done");
  for (const page of pages) {
    await check(page, { width: 1400, deep: true });
    await check(page, { width: 1400, dark: true, deep: true });
    await check(page, { width: 390, mobile: true });
  }
})()
  .catch((error) => failures.push(String(error)))
  .finally(() => {
    over = true;
    for (const failure of failures) console.error(failure);
    if (!failures.length) console.log(`${pages.length} pages hold`);
    chromium.on("exit", () => leave(failures.length ? 1 : 0));
    chromium.kill();
  });
