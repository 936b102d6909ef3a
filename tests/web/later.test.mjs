import assert from "node:assert/strict";
import { test } from "node:test";
import { later } from "../../web/js/views/later.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a view is fetched once, when it is first wanted, and shows the newest state", async () => {
  const shown = [];
  let loads = 0;
  let now = { n: 0 };
  const view = later({
    wanted: ({ n }) => n > 0,
    load: async () => {
      loads += 1;
      return [{ render: ({ n }) => shown.push(n) }];
    },
    render: () => view.render(now),
    missing: (_part, again) => assert.equal(again, undefined),
  });
  view.render(now);
  assert.equal(loads, 0);
  for (const n of [1, 2]) {
    now = { n };
    view.render(now);
  }
  await settled();
  assert.deepEqual([loads, shown], [1, [2]]);
  view.render({ n: 0 });
  assert.deepEqual(shown, [2, 0], "once there, it is told everything, also what it has to hide");
});

test("a failure is told, and asked about again, but not at every change while it is told", async (t) => {
  let loads = 0;
  let now = { missing: false };
  const view = later({
    wanted: () => true,
    load: async () => {
      loads += 1;
      if (loads < 4) throw new TypeError("Failed to fetch dynamically imported module");
      return [];
    },
    render: () => view.render(now),
    missing: (_part, again) => (now = { missing: !!again }),
  });
  view.render(now);
  await settled();
  assert.ok(now.missing);
  view.render(now);
  assert.equal(loads, 1);
  view.render({ missing: false });
  assert.equal(loads, 2, "the notice was pressed");
  await settled();
  const then = performance.now() + 10_000;
  t.mock.method(performance, "now", () => then);
  view.render(now);
  assert.equal(loads, 3);
  await settled();
  view.render({ missing: false });
  await settled();
  assert.equal(now.missing, false, "what has come is no longer missed");
});
