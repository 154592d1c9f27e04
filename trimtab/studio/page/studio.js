// Puts the page together: settings from the link, the model's axes from the server, then every part.

import { startCards } from "./cards.js";
import { startChat } from "./chat.js";
import { byId, during, say } from "./elements.js";
import { showExports, startExports } from "./exports.js";
import { showFiles, startFiles } from "./files.js";
import { fromQuery } from "./link.js";
import { clearScores, startScores } from "./scores.js";
import { ask } from "./server.js";
import { change, settings } from "./settings.js";
import { showSliders, startSliders } from "./sliders.js";
import { showSweep, startSweep } from "./sweep.js";
import { showTokenAxes, startTokens } from "./tokens.js";

let model = "";

/** Show a model and its axes; sliders that are still there stay where they are. */
function show(state) {
  const known = new Map(state.axes.map((axis) => [axis.name, axis]));
  const asked = new Map(Object.entries(settings.sliders)); // an axis may be called "constructor"
  const values = Object.fromEntries(
    [...known].map(([name, { low, high }]) => [name, Math.min(Math.max(asked.get(name) ?? 0, low), high)]),
  );
  const lost = [...asked].filter(([name, value]) => value !== (known.has(name) ? values[name] : 0)).map(([name]) => name);
  settings.sliders = values;
  showSliders(state.axes);
  change({
    sliders: values,
    color: known.has(settings.color) ? settings.color : "",
    sweep: known.has(settings.sweep) ? settings.sweep : "",
  });
  if (lost.length) {
    say("slider-status", `Not as asked: ${lost.join(", ")}, which is missing here or has a smaller range.`, true);
  }
  if (model && model !== state.model.name) document.dispatchEvent(new Event("model"));
  model = state.model.name;
  showSweep(state.axes);
  clearScores();
  showTokenAxes(state.axes);
  showFiles(state);
  showExports(state.exports);
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    throw new Error("The browser gives no clipboard here; copy the page's address instead.");
  }
  return "Copied: this page's address has the sliders, prompt and axes in it.";
}

async function start() {
  let unusable = null;
  try {
    Object.assign(settings, fromQuery(location.search));
  } catch (error) {
    unusable = error;
  }
  startSliders();
  startChat();
  startSweep();
  startScores();
  startTokens();
  startFiles(show);
  startExports();
  startCards();
  byId("share").addEventListener("click", (event) => during(event.target, "share-status", "", share));
  try {
    show(await (await ask("state", { method: "GET" })).json());
    if (unusable) throw unusable;
  } catch (error) {
    say("slider-status", error.message, true);
  }
}

start();
