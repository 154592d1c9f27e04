// The same prompt at values along one slider's range, the others where they stand: rows of one batch.

import { answerBox, byId, during, element, options } from "./elements.js";
import { showGates } from "./gates.js";
import { answers } from "./server.js";
import { change, settings, signed } from "./settings.js";

const STEPS = 5;
let axes = [];
let stopper = null;

/** Evenly over the range, ends and 0 among them, on the slider's own grid. */
export function sweepValues({ low, high, step }) {
  const even = Array.from({ length: STEPS }, (_, place) => low + (place * (high - low)) / (STEPS - 1));
  const values = [...even, 0].map((value) => Number((Math.round(value / step) * step).toPrecision(12)));
  return [...new Set(values)].sort((one, other) => one - other);
}

async function sweep() {
  const axis = axes.find(({ name }) => name === byId("sweep-axis").value);
  const prompt = byId("prompt").value.trim();
  if (!axis) throw new Error("There is no slider yet: add a vector file, or extract the built-in axes.");
  if (!prompt) throw new Error("Type a question in the chat's box first.");
  const values = sweepValues(axis);
  const chat = [{ role: "user", content: prompt }];
  const boxes = values.map(answerBox);
  const rows = values.map((value) => ({ chat, setting: { ...settings.sliders, [axis.name]: value } }));
  showGates(byId("sweep-gates"), chat);
  byId("sweep-answers").replaceChildren(
    ...values.map((value, row) =>
      element("li", {}, element("h3", {}, `${axis.name} ${signed(value)}`), ...boxes[row].nodes),
    ),
  );
  for await (const { texts, thoughts } of answers(rows, settings.length, stopper.signal)) {
    boxes.forEach((box, row) => box.show(texts[row], thoughts[row]));
  }
  return "Answered.";
}

export function showSweep(found) {
  axes = found;
  options(byId("sweep-axis"), axes.map(({ name }) => [name, name]), settings.sweep);
  byId("sweep-answers").replaceChildren();
  byId("sweep-gates").textContent = "";
}

export function startSweep() {
  byId("sweep-axis").addEventListener("change", (event) => change({ sweep: event.target.value }));
  byId("sweep").addEventListener("click", async (event) => {
    stopper = new AbortController();
    byId("sweep-stop").disabled = false;
    await during(event.target, "sweep-status", "Writing…", sweep);
    byId("sweep-stop").disabled = true;
  });
  byId("sweep-stop").addEventListener("click", () => stopper?.abort());
}
