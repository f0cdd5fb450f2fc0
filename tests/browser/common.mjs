// SPDX-License-Identifier: MIT
// What the checks in a browser share: assertions that are counted, and Chromium without a window.
import puppeteer from 'puppeteer-core';

let failures = 0, checks = 0;

export function check(what, is, wanted) {
  checks++;
  const same = JSON.stringify(is) === JSON.stringify(wanted);
  if (!same) {
    failures++;
    console.log(`${what}: ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
  }
  return same;
}

export function verdict(name) {
  console.log(`${name}: ${checks - failures} of ${checks} checks passed`);
  process.exitCode = failures || !checks ? 1 : 0;
}

// Sandboxes of browsers do not work for root, nor in many containers.
export function browse(...more) {
  return puppeteer.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', ...more],
  });
}

// Until it says something; an error after a minute.
export async function until(what, look) {
  for (let end = Date.now() + 60000; Date.now() < end; await new Promise(done => setTimeout(done, 50))) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`${what}: not within a minute`);
}
