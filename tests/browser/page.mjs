// SPDX-License-Identifier: MIT
// page.mjs SERVER PICTURE: the page of charts in Chromium: it draws, from this server alone, what the statistics say.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { browse, check, until, verdict } from './common.mjs';

const [program, picture] = process.argv.slice(2);
const server = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
const [line] = await once(server.stdout, 'data');
const address = line.toString().trim();

async function fetched() {
  const text = await (await fetch(address)).text();
  check('the page names nothing that is elsewhere', text.match(/\b(?:https?:)?\/\/(?!www\.w3\.org\/)[a-z]|@import|<script src|<link(?! rel="icon" href="data:)/g),
    null);
  const metrics = await fetch(`${address}metrics`);
  check('type of /metrics', metrics.headers.get('content-type').split(';')[0], 'application/openmetrics-text');
  check('end of /metrics', (await metrics.text()).endsWith('# EOF\n'), true);
  check('elsewhere', (await fetch(`${address}elsewhere`)).status, 404);
}

// What the page shows, as text, and how many points its lines have.
function shown(page) {
  return page.evaluate(() => ({
    state: document.getElementById('state').textContent,
    charts: [...document.querySelectorAll('section')].map(s => s.querySelector('h2').textContent),
    numbers: [...document.querySelectorAll('.now b')].map(b => b.textContent),
    points: [...document.querySelectorAll('path')].map(p => (p.getAttribute('d')?.match(/[ML]/g) ?? []).length),
    odd: [...document.querySelectorAll('path')].filter(p => /NaN|Infinity/.test(p.getAttribute('d'))).length,
    types: [...document.querySelectorAll('td:first-child')].map(td => td.textContent),
  }));
}

async function drawn(browser) {
  const page = await browser.newPage(), asked = new Set(), errors = [];
  await page.setViewport({ width: 1180, height: 900 });
  page.on('request', request => { if (!request.url().startsWith('data:')) asked.add(new URL(request.url()).pathname); });
  page.on('pageerror', error => errors.push(String(error)));
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
  await page.goto(address);
  const s = await until('twenty points', () => shown(page).then(s => (s.points[0] >= 20 ? s : null)));
  const stats = await (await fetch(`${address}stats.json`)).json();
  check('state', s.state, `process ${stats.process}`);
  check('charts', s.charts.length, 9);
  check('numbers that are none', s.numbers.filter(n => !/^-?[\d.]+ ?[a-zA-Z%/ ]*$/.test(n)), []);
  check('lines that are not drawn', s.points.filter(n => n < 20).length, 0);
  check('points that are nowhere', s.odd, 0);
  check('the type that lives', s.types.includes('tree'), true);
  check('what was asked for', [...asked].sort(), ['/', '/stats.json']);
  check('errors', errors, []);
  await page.screenshot({ path: picture });
  return page;
}

const browser = await browse();
try {
  await fetched();
  const page = await drawn(browser);
  server.stdin.end();
  check('exit status of the server', (await once(server, 'exit'))[0], 0);
  await until('that the server is gone', () => shown(page).then(s => s.state.startsWith('no statistics')));
} finally {
  await browser.close();
  server.kill();
}
verdict('page of charts in Chromium');
