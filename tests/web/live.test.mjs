import assert from "node:assert/strict";
import { test } from "node:test";
import { abilities, offer } from "../../web/js/live/ability.js";
import { Pace, Pump } from "../../web/js/live/pump.js";
import { fit } from "../../web/js/live/region.js";
import { whyNot } from "../../web/js/live/sources.js";
import { WORDS } from "../../web/js/live/words.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A source, a service and a clock that do only what the test says. */
class Stage {
  now = 0;
  frame = 0;
  told = 0;
  asked = [];
  shown = [];
  errors = [];
  waits = [];
  #wake = () => {};
  constructor(waitMs = 0) {
    this.pump = new Pump({
      fresh: (signal) => this.#fresh(signal),
      ask: (signal) => new Promise((resolve, reject) => {
        this.asked.push({ frame: this.frame, resolve, reject, signal });
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
      onAnswer: (answer, pace) => this.shown.push({ answer, ...pace }),
      onError: (error) => {
        this.errors.push(error.message);
        return waitMs;
      },
      now: () => this.now,
      wait: (ms) => new Promise((resolve) => this.waits.push({ ms, resolve })),
    });
  }
  async #fresh(signal) {
    if (this.frame === this.told) {
      await new Promise((resolve, reject) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    }
    this.told = this.frame;
  }
  /** Another frame is shown. */
  async show() {
    this.frame += 1;
    this.#wake();
    await settled();
  }
  async answer(value, ms = 0) {
    this.now += ms;
    this.asked.at(-1).resolve(value);
    await settled();
  }
}

test("one question at a time; of the frames meanwhile only the newest is asked about", async () => {
  const stage = new Stage();
  stage.pump.start();
  stage.pump.start();
  await stage.show();
  for (let i = 0; i < 5; i += 1) await stage.show();
  assert.deepEqual(stage.asked.map(({ frame }) => frame), [1]);
  await stage.answer("one", 80);
  assert.deepEqual(stage.asked.map(({ frame }) => frame), [1, 6]);
  assert.deepEqual(stage.shown, [{ answer: "one", rate: 0, latencyMs: 80 }]);
});

test("a picture that stands still is asked about once", async () => {
  const stage = new Stage();
  stage.pump.start();
  await stage.show();
  await stage.answer("one");
  assert.equal(stage.asked.length, 1);
  await stage.show();
  assert.equal(stage.asked.length, 2);
});

test("stopping ends the request, drops its answer and asks nothing more; it can go on", async () => {
  const stage = new Stage();
  stage.pump.start();
  await stage.show();
  stage.pump.stop();
  assert.equal(stage.asked[0].signal.aborted, true);
  await stage.answer("late");
  await stage.show();
  assert.deepEqual([stage.shown, stage.errors, stage.asked.length], [[], [], 1]);
  stage.pump.start();
  await settled();
  assert.equal(stage.asked.length, 2);
  await stage.answer("again");
  assert.equal(stage.shown[0].answer, "again");
});

test("an answer that comes although it was stopped is dropped", async () => {
  const stage = new Stage();
  stage.pump.start();
  await stage.show();
  stage.asked[0].resolve("late");
  stage.pump.stop();
  await settled();
  assert.deepEqual(stage.shown, []);
});

test("after an error it waits as long as it is told, then takes the newest frame", async () => {
  const stage = new Stage(1000);
  stage.pump.start();
  await stage.show();
  await stage.show();
  stage.asked[0].reject(new Error("too many"));
  await settled();
  assert.deepEqual([stage.errors, stage.waits.map(({ ms }) => ms), stage.asked.length], [["too many"], [1000], 1]);
  await stage.show();
  stage.waits[0].resolve();
  await settled();
  assert.deepEqual(stage.asked.map(({ frame }) => frame), [1, 3]);
});

test("an error whose handler stops it is the last word", async () => {
  const stage = new Stage();
  const { pump } = stage;
  stage.errors.push = () => pump.stop();
  pump.start();
  await stage.show();
  await stage.show();
  stage.asked[0].reject(new Error("away"));
  await settled();
  assert.equal(stage.asked.length, 1);
});

test("the pace is of the last three seconds", () => {
  const pace = new Pace();
  assert.equal(pace.tick(0), 0);
  assert.equal(pace.tick(100), 10);
  for (let now = 200; now <= 4000; now += 100) pace.tick(now);
  assert.equal(pace.tick(4100), 10);
  assert.equal(pace.tick(60_000), 0, "what was before a pause does not count");
  assert.equal(pace.tick(60_500), 2);
});

test("a frame is drawn as small as is needed, and never larger than it is", () => {
  const frame = { width: 1280, height: 720 };
  assert.deepEqual(fit(frame, null, 256), { from: { x: 0, y: 0, width: 1280, height: 720 }, width: 455, height: 256 });
  const region = { left: 0.25, top: 0.5, right: 0.5, bottom: 1 };
  assert.deepEqual(fit(frame, region, 256), { from: { x: 320, y: 360, width: 320, height: 360 }, width: 256, height: 288 });
  assert.deepEqual(fit({ width: 100, height: 50 }, null, 256), { from: { x: 0, y: 0, width: 100, height: 50 }, width: 100, height: 50 });
  const { width, height } = fit({ width: 4000, height: 2 }, { left: 0, top: 0, right: 1, bottom: 0.04 }, 256);
  assert.ok(width >= 1 && height >= 1);
});

const media = { getUserMedia() {}, getDisplayMedia() {} };

test("where the page came over plain http, nothing can be lent", () => {
  assert.deepEqual(abilities({ isSecureContext: false, navigator: {} }), { isSecure: false, camera: false, screen: false });
  assert.deepEqual(abilities({ isSecureContext: true, navigator: { mediaDevices: media } }), { isSecure: true, camera: true, screen: true });
  const phone = { isSecureContext: true, navigator: { mediaDevices: { getUserMedia() {} } } };
  assert.deepEqual(abilities(phone), { isSecure: true, camera: true, screen: false });
});

test("what cannot be had is off: with the reason where the address is the reason, else it is not there", () => {
  const parts = { '[data-by="camera"]': {}, '[data-by="screen"]': {}, "live-off": {} };
  const page = { querySelector: (name) => parts[name], getElementById: (id) => parts[id] };
  offer(page, { isSecure: false, camera: false, screen: false });
  assert.deepEqual(Object.values(parts), [{ disabled: true, hidden: false }, { disabled: true, hidden: false }, { hidden: false }]);
  offer(page, { isSecure: true, camera: true, screen: false });
  assert.deepEqual(Object.values(parts), [{ disabled: false, hidden: false }, { disabled: true, hidden: true }, { hidden: true }]);
});

test("each refusal has a sentence of its own", () => {
  const error = (name) => new DOMException("", name);
  assert.equal(whyNot("camera", error("NotAllowedError")), "live.denied.camera");
  assert.equal(whyNot("camera", error("NotFoundError")), "live.noCamera");
  assert.equal(whyNot("camera", error("OverconstrainedError")), "live.noCamera");
  assert.equal(whyNot("camera", error("NotReadableError")), "live.busyCamera");
  assert.equal(whyNot("screen", error("NotAllowedError")), "live.denied.screen");
  assert.equal(whyNot("screen", error("NotFoundError")), "live.noScreen");
  assert.equal(whyNot("video", error("NotSupportedError")), "live.unplayable");
  assert.equal(whyNot("camera", new Error("other")), "live.busyCamera");
});

test("the live search speaks every language in full", () => {
  const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  assert.deepEqual(Object.keys(WORDS.zh), Object.keys(WORDS.en));
  for (const [key, text] of Object.entries(WORDS.en)) assert.deepEqual(holes(WORDS.zh[key]), holes(text), key);
});
