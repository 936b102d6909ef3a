import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { ApiError } from "../../web/js/api.js";
import { Monitor, retryDelayMs } from "../../web/js/monitor.js";
import { Store, initialState } from "../../web/js/store.js";

const STATUS = { ok: true, images: 7 };
const away = () => new ApiError({ status: 0, code: "network" });

let store, monitor, returns, readiness, status, asked, barred;
beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  store = new Store(initialState({ locale: "en" }));
  returns = 0;
  asked = 0;
  readiness = null;
  status = STATUS;
  barred = false;
  const api = {
    ready: async () => {
      asked += 1;
      if (readiness) throw readiness;
    },
    status: async () => {
      if (status instanceof Error) throw status;
      return status;
    },
    isBarred: async () => barred,
  };
  monitor = new Monitor({ api, store, onReturn: () => (returns += 1) });
});
afterEach(() => {
  monitor.stop();
  mock.timers.reset();
});

test("the pauses double up to a bound and respect what the service asks for", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 50].map((n) => retryDelayMs(n)), [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  assert.equal(retryDelayMs(1, 5), 5000);
  assert.equal(retryDelayMs(4, 5), 8000);
  assert.equal(retryDelayMs(1, 86400), 30000);
});

test("ready, with the status kept; the first answer is no return", async () => {
  await monitor.check();
  assert.deepEqual(store.state.service, { phase: "ready", status: STATUS, returned: false });
  assert.equal(returns, 0);
});

test("away keeps the last status, comes back by itself, and says so for a while", async () => {
  await monitor.check();
  readiness = status = away();
  await monitor.check();
  assert.deepEqual(store.state.service, { phase: "away", status: STATUS, returned: false });

  readiness = null;
  status = STATUS;
  const before = asked;
  mock.timers.tick(1000);
  assert.equal(asked, before + 1, "asked again after the first pause");
  await monitor.check();
  assert.deepEqual(store.state.service, { phase: "ready", status: STATUS, returned: true });
  assert.equal(returns, 1);
  mock.timers.tick(5000);
  assert.equal(store.state.service.returned, false);
});

test("503 is warming when the service itself says it, and away when a proxy does", async () => {
  readiness = new ApiError({ status: 503, code: "warming", retryAfterS: 2 });
  await monitor.check();
  assert.equal(store.state.service.phase, "warming");
  readiness = status = new ApiError({ status: 503, code: "http_503" });
  await monitor.check();
  assert.equal(store.state.service.phase, "away");
});

test("a service without /readyz is judged by its status", async () => {
  readiness = new ApiError({ status: 404, code: "not_found" });
  await monitor.check();
  assert.equal(store.state.service.phase, "ready");
});

test("an unchanged status announces nothing, so nothing is drawn anew", async () => {
  await monitor.check();
  status = { ...STATUS };
  let changes = 0;
  store.subscribe(() => (changes += 1));
  await monitor.check();
  assert.equal(changes, 0);
});

test("a silent service is away after a while", async () => {
  const silent = (options) =>
    new Promise((_, reject) => options.signal.addEventListener("abort", () => reject(new ApiError({ status: 0, code: "timeout" })), { once: true }));
  const patient = new Monitor({ api: { ready: silent, status: silent }, store, onReturn: () => {} });
  const check = patient.check();
  mock.timers.tick(10_000);
  await check;
  patient.stop();
  assert.equal(store.state.service.phase, "away");
});

test("a service that is there and may not be read is told from one that is away, and comes back as one", async () => {
  readiness = status = away();
  barred = true;
  await monitor.check();
  assert.deepEqual(store.state.service, { phase: "away", status: null, returned: false, barred: true });
  barred = false;
  await monitor.check();
  assert.deepEqual(store.state.service, { phase: "away", status: null, returned: false });
  barred = true;
  readiness = null;
  status = STATUS;
  await monitor.check();
  assert.equal(store.state.service.phase, "ready");
  assert.equal(store.state.service.barred, undefined, "what answers is not asked about");
});
