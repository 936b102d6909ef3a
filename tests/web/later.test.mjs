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
    state: () => now,
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

test("a failure is asked about again, but not at every change", async (t) => {
  let loads = 0;
  const view = later({
    wanted: () => true,
    load: async () => {
      loads += 1;
      throw new TypeError("Failed to fetch dynamically imported module");
    },
    state: () => ({}),
  });
  view.render({});
  await settled();
  view.render({});
  assert.equal(loads, 1);
  const now = performance.now();
  t.mock.method(performance, "now", () => now + 10_000);
  view.render({});
  assert.equal(loads, 2);
});
