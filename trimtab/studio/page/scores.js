// Where the model leans, without any text being written: bare, and under the present setting.

import { byId, during, element } from "./elements.js";
import { ask } from "./server.js";
import { settings, settingText } from "./settings.js";

const figure = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

async function measure() {
  const prompt = byId("prompt").value.trim();
  if (!prompt) throw new Error("Type a question in the chat's box first.");
  const setting = { ...settings.sliders };
  const asked = { chat: [{ role: "user", content: prompt }], setting };
  const { scores, without } = await (await ask("scores", { json: asked })).json();
  const heads = ["Score", "Bare model", settingText(setting)];
  byId("score-table").replaceChildren(
    element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...scores.map(({ name, bare, now }) => element(
      "tr", {}, element("th", { scope: "row" }, name), ...[bare, now].map((value) => element("td", {}, figure(value))),
    ))),
  );
  byId("score-table").hidden = false;
  byId("score-notes").replaceChildren(...without.map((text) => element("p", { className: "hint" }, text)));
  return "Measured.";
}

/** Nothing was measured with these axes yet. */
export function clearScores() {
  byId("score-table").hidden = true;
  byId("score-notes").replaceChildren();
}

export function startScores() {
  byId("measure").addEventListener("click", (event) => during(event.target, "score-status", "Measuring…", measure));
}
