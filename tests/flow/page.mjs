// page.mjs URL [TOKEN | --front]: the page in a real browser. With a token the study is one that is paused; with
// --front one of two objectives, of which only what others have not is looked at. Everything a person relies on is checked once: what is shown, by keyboard,
// for screen readers, in light and dark, at a phone's width, with the network cut, in two tabs. Exits 0 when all held.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = createRequire(import.meta.url)("axe-core");
const [url, mode] = process.argv.slice(2);
const token = mode === "--front" ? undefined : mode;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
let checks = 0;

function ok(what, condition, detail = "") {
  assert.ok(condition, `${what}${detail === "" ? "" : `: ${detail}`}`);
  checks++;
}

// A page that notes everything it should not do.
async function open(context, path = "/") {
  const page = await context.newPage();
  page.trouble = [];
  page.streams = 0;
  page.bytes = 0;
  page.on("console", (message) => message.type() === "error" && page.trouble.push(message.text()));
  page.on("pageerror", (error) => page.trouble.push(error.message));
  page.on("request", (request) => {
    page.streams += request.url().endsWith("/api/stream") ? 1 : 0;
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) {
      page.trouble.push(`asked elsewhere: ${request.url()}`);
    }
  });
  page.on("response", (response) => {
    if (/\/(page\.(js|css))?$/.test(new URL(response.url()).pathname)) {
      page.bytes += Number(response.headers()["content-length"] ?? 0);
    }
  });
  await page.goto(url + path);
  await page.locator("#state:not(:empty)").waitFor();
  await page.locator("#candidates tbody tr").first().waitFor();
  return page;
}

async function accessible(page, where) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  ok(`no accessibility violations, ${where}`, violations.length === 0,
    JSON.stringify(violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => [n.target.join(" "), n.failureSummary])]), null, 1));
}

async function fits(page, where) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  ok(`nothing sticks out, ${where}`, wide <= window, `${wide} > ${window}`);
}

async function showsTheStudy() {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });
  const page = await open(context);
  ok("study name", (await page.locator("#study").innerText()).length > 1);
  ok("headline", (await page.locator(".headline").innerText()).length > 10);
  ok("parents and baselines", (await page.locator("ul.standing li").count()) >= 3);
  await page.locator("#history canvas").waitFor();
  ok("the curve is described in words", (await page.locator("#history .plot").getAttribute("aria-label"))?.includes("evaluations"));
  await page.locator("table.heat").first().waitFor();
  ok("a heat map row a source", (await page.locator("table.heat").first().locator("tbody tr").count()) >= 1);
  ok("log", (await page.locator(".log li").count()) > 0);
  ok("trajectory", /^[0-9a-f]{12}$/.test(await page.locator(".digest").innerText()));
  await page.locator("#connection[data-state=live]").waitFor();
  ok("under 60 KB", page.bytes > 0 && page.bytes < 60_000, `${page.bytes} bytes`);
  await accessible(page, "light");
  await fits(page, "desktop");
  ok("no trouble", page.trouble.length === 0, page.trouble.join("; "));
  await context.close();
}

async function worksByKeyboard() {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
  const page = await open(context);
  await page.keyboard.press("Tab");
  ok("the first stop skips to the study", (await page.evaluate(() => document.activeElement?.className)) === "skip");
  await page.locator("#candidates .sort").first().focus();
  await page.keyboard.press("Enter");
  const sorted = page.locator("#candidates th[aria-sort=ascending]");
  await sorted.waitFor();
  ok("sorted by the keyboard", (await sorted.innerText()).startsWith("Candidate"));
  await page.waitForTimeout(300);
  for (const i of [0, 1]) {
    await page.locator("#candidates tbody input").nth(i).focus();
    await page.keyboard.press("Space");
  }
  await page.locator(".two h3").waitFor();
  ok("two candidates compared", /^Candidates \d+ and \d+/.test(await page.locator(".two h3").innerText()));
  await accessible(page, "with two candidates chosen");
  ok("no trouble", page.trouble.length === 0, page.trouble.join("; "));
  await context.close();
}

async function worksOnAPhoneInTheDark() {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true });
  const page = await open(context);
  await page.locator("#candidates tbody input").first().tap();
  await page.locator(".one h3").waitFor();
  await fits(page, "phone");
  await accessible(page, "dark, phone");
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  ok("dark", dark === "rgb(17, 18, 21)", dark);
  await context.close();
}

async function survivesACutNetwork() {
  const context = await browser.newContext();
  await context.route("**/api/stream", (route) => route.abort("connectionreset"));
  const page = await open(context);
  await page.locator("#connection[data-state=lost]").waitFor();
  ok("what was fetched stays", (await page.locator(".headline").innerText()).length > 10);
  await context.unroute("**/api/stream");
  await page.locator("#connection[data-state=live]").waitFor();
  ok("live again by itself", true);
  await context.close();
}

async function tabsShareOneStream() {
  const context = await browser.newContext();
  const first = await open(context);
  await first.locator("#connection[data-state=live]").waitFor();
  const second = await open(context);
  await second.waitForTimeout(500);
  ok("one stream for two tabs", first.streams === 1 && second.streams === 0, `${first.streams} and ${second.streams}`);
  await first.close();
  await second.locator("#connection[data-state=live]").waitFor();
  ok("the second takes over", second.streams === 1);
  await context.close();
}

async function asksForATokenBeforeItControls() {
  const context = await browser.newContext();
  const page = await open(context);
  await page.getByRole("button", { name: "Control" }).click();
  await page.locator("#token-field").fill("nonsense");
  await page.keyboard.press("Enter");
  ok("a token that is none is refused", (await page.locator("dialog .bad").innerText()).includes("64"));
  await accessible(page, "token dialog");
  await page.keyboard.press("Escape");
  await context.close();
}

async function showsTheFront(viewport, colorScheme, where) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await open(context);
  const front = page.locator("#front");
  await front.locator("circle.member").first().waitFor();
  const members = await front.locator("tbody tr").count();
  ok(`a point and a row for each on the front, ${where}`, members > 0 && members === (await front.locator("circle.member").count()));
  ok("parents are marked", (await front.locator("rect.parent").count()) === 3);
  ok("the picture is described in words", /candidates by addition and reversal/.test(await front.locator("svg").getAttribute("aria-label")));
  await front.locator("tbody button").last().focus();
  ok("a row lights its point", (await front.locator("circle.lit").count()) === 1);
  await front.getByLabel("Objective to the right").selectOption("reversal");
  ok("axes can be chosen", /candidates by reversal and reversal/.test(await front.locator("svg").getAttribute("aria-label")));
  ok("under 60 KB", page.bytes > 0 && page.bytes < 60_000, `${page.bytes} bytes`);
  await accessible(page, where);
  await fits(page, where);
  ok("no trouble", page.trouble.length === 0, page.trouble.join("; "));
  await context.close();
}

async function resumesAndPauses() {
  const context = await browser.newContext();
  const page = await open(context, `/#token=${token}`);
  ok("the token leaves the address bar", !page.url().includes(token));
  ok("paused", (await page.locator("#state").innerText()) === "Paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator("#state[data-state=running]").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#state[data-state=paused]").waitFor();
  ok("paused again", (await page.locator(".next").innerText()).includes("resumes"));
  ok("no trouble", page.trouble.length === 0, page.trouble.join("; "));
  await context.close();
}

try {
  if (mode === "--front") {
    await showsTheFront({ width: 1360, height: 900 }, "light", "front");
    await showsTheFront({ width: 360, height: 740 }, "dark", "front, dark, phone");
  } else {
    await showsTheStudy();
    await worksByKeyboard();
    await worksOnAPhoneInTheDark();
    await survivesACutNetwork();
    await tabsShareOneStream();
  }
  if (token !== undefined) {
    await asksForATokenBeforeItControls();
    await resumesAndPauses();
  }
  console.log(`${checks} checks`);
} finally {
  await browser.close();
}
