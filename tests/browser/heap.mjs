// SPDX-License-Identifier: MIT
// heap.mjs SNAPSHOT PICTURE: the snapshot of planted.c, read by memlab and by the DevTools of Chromium: sizes, dominators, paths.
import path from 'node:path';
import analysis from '@memlab/heap-analysis';
import { browse, check, until, verdict } from './common.mjs';

const [file, picture] = process.argv.slice(2).map(p => path.resolve(p));
const SESSION = 1024, BUFFER = 4112, HOLDER = 32;  // bytes of planted.c's objects, headers included
const KEPT = SESSION + BUFFER;
const CACHE = HOLDER + 2 * HOLDER + KEPT;  // with its two entries and session A; B is the server's as well
const SERVER = HOLDER + CACHE + KEPT;

// ---- memlab ----


async function memlab() {
  const heap = await analysis.getFullHeapFromFile(file);
  const found = {};
  heap.nodes.forEach(node => { (found[node.name] ??= []).push(node); });
  check('memlab: sessions', found.session?.length, 3);
  check('memlab: bytes of server', found.server[0].retainedSize, SERVER);
  check('memlab: bytes of cache', found.cache[0].retainedSize, CACHE);
  for (const session of found.session) check('memlab: bytes of a session', session.retainedSize, KEPT);
  const dominators = found.session.map(s => s.dominatorNode.name).sort();
  const root = found.session.map(s => s.dominatorNode).find(n => !['server', 'entry'].includes(n.name));
  check('memlab: dominators of sessions', dominators, ['entry', 'server', root.name].sort());
  check('memlab: the forgotten one is held from outside', [root.edge_count > 0, root.id], [true, heap.nodes.get(0).id]);
  check('memlab: dominator of cache', found.cache[0].dominatorNode.name, 'server');
  const a = found.session.find(s => s.dominatorNode.name === 'entry');
  const names = [];
  for (let node = a; node.id !== root.id; node = node.dominatorNode) names.push(node.name);
  check('memlab: what keeps session A', names, ['session', 'entry', 'cache', 'server']);
  const referrers = s => s.referrers.map(e => `${e.fromNode.name}.${e.name_or_index}`).sort();
  const b = found.session.find(s => s.dominatorNode.name === 'server');
  check('memlab: what leads to session B', referrers(b), ['entry.session', 'server.current']);
}

// ---- DevTools ----

// The model behind the Memory panel, with numbers that are not rounded.
async function askPanel(page) {
  return page.evaluate(async () => {
    const { HeapProfilerPanel } = await import('/devtools/panels/profiler/profiler.js');
    const snapshot = await HeapProfilerPanel.HeapProfilerPanel.instance().visibleView.profile.loadPromise;
    const classes = await snapshot.aggregatesWithFilter({});
    const all = provider => provider.serializeItemsRange(0, 100).then(range => range.items);
    const retainers = async node => Promise.all((await all(snapshot.createRetainingEdgesProvider(node.nodeIndex)))
      .map(async edge => ({ edge: edge.name, from: edge.node.name, node: edge.node })));
    const objects = {};
    for (const [key, of] of Object.entries(classes)) {
      const items = await all(snapshot.createNodesProviderForClass(key, {}));
      objects[of.name] = await Promise.all(items.map(async node => ({
        size: node.selfSize, retained: node.retainedSize, distance: node.distance,
        retainers: (await retainers(node)).map(r => `${r.from}.${r.edge}`).sort(),
      })));
    }
    const way = [];
    const sessions = await all(snapshot.createNodesProviderForClass(
      Object.keys(classes).find(key => classes[key].name === 'session'), {}));
    let [node] = sessions.sort((a, b) => b.distance - a.distance);
    const { id } = node;
    for (let edge; node.distance > 1; node = edge.node) {
      [edge] = (await retainers(node)).sort((x, y) => x.node.distance - y.node.distance);
      way.push(`${edge.from}.${edge.edge}`);
    }
    return { objects, way, id };
  });
}

async function open(browser) {
  const port = new URL(browser.wsEndpoint()).port;
  const [blank] = await browser.pages();
  const client = await blank.createCDPSession();
  const { targetInfo } = await client.send('Target.getTargetInfo');
  const page = await browser.newPage();
  await page.setViewport({ width: 1200, height: 620 });
  await page.goto(`http://127.0.0.1:${port}/devtools/devtools_app.html?panel=heap-profiler&ws=127.0.0.1:${port}/devtools/page/` +
    targetInfo.targetId);
  const button = await page.waitForSelector('pierce/[aria-label^="Load profile"]', { timeout: 60000 });
  const [chooser] = await Promise.all([page.waitForFileChooser({ timeout: 60000 }), button.click()]);
  await chooser.accept([file]);
  return page;
}

// The first element, through all shadow roots, whose own text is like this.
function find(page, pattern) {
  return page.evaluateHandle(wanted => {
    const own = e => [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data).join('').trim();
    const walk = root => [...root.querySelectorAll('*')].flatMap(e => [
      ...(e.shadowRoot ? walk(e.shadowRoot) : []), ...(new RegExp(wanted).test(own(e)) ? [e] : [])]);
    return walk(document)[0];
  }, pattern).then(handle => handle.asElement());
}

async function devtools() {
  const browser = await browse('--remote-debugging-port=0', '--remote-allow-origins=*');
  try {
    const page = await open(browser);
    await until('the size of the loaded profile', () => find(page, '\\([\\d.]+\\s.?B\\)'));
    await (await find(page, path.basename(file, '.heapsnapshot'))).click();
    await until('its view', () => page.evaluate(() => import('/devtools/panels/profiler/profiler.js')
      .then(m => m.HeapProfilerPanel.HeapProfilerPanel.instance().visibleView?.profile?.loadPromise).then(Boolean)));
    await (await until('the class of the sessions', () => find(page, '^session$'))).click();
    await page.keyboard.press('ArrowRight');
    const { objects, way, id } = await askPanel(page);
    await (await until('session A', () => find(page, `^@${id}$`))).click();
    await until('what holds it', () => find(page, '^first$'));
    check('DevTools: classes', Object.keys(objects).sort().filter(n => !n.startsWith('(')),
      ['buffer', 'cache', 'entry', 'server', 'session']);
    check('DevTools: server', objects.server[0].retained, SERVER);
    check('DevTools: cache', objects.cache[0].retained, CACHE);
    check('DevTools: sessions', objects.session.map(s => [s.size, s.retained]), Array(3).fill([SESSION, KEPT]));
    check('DevTools: distances of sessions', objects.session.map(s => s.distance).sort(), [1, 2, 4]);
    check('DevTools: retainers of session B', objects.session.find(s => s.distance === 2).retainers,
      ['entry.session', 'server.current']);
    check('DevTools: retaining path of session A', way, ['entry.session', 'cache.first', 'server.cache']);
    await page.screenshot({ path: picture });
  } finally {
    await browser.close();
  }
}

await memlab();
await devtools();
verdict('heap snapshot in memlab and DevTools');
