// The present setting as a file for another tool. What a tool's file can't say is greyed, and says why: such a button
// is not disabled, or the keyboard couldn't reach its reason.

import { byId, during, element, say } from "./elements.js";
import { ask, save } from "./server.js";
import { settings } from "./settings.js";

const PAUSE = 300; // milliseconds that a slider must rest before the server is asked
let refusals = {}; // the reason by tool, or null
let newest = 0;

export function showExports(names) {
  byId("exports").replaceChildren(...names.map(exportButton));
}

function exportButton(name) {
  const button = element("button", { type: "button" }, name);
  button.dataset.to = name;
  button.addEventListener("click", () => {
    if (refusals[name]) tell(name); // a tap
    else during(button, "export-status", "Writing…", () => exportSetting(name));
  });
  for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => tell(name));
  for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => tell());
  return button;
}

async function check() {
  const mine = ++newest;
  try {
    const found = await (await ask("refusals", { json: { setting: settings.sliders } })).json();
    if (mine !== newest) return;
    refusals = found;
  } catch (error) {
    say("export-status", error.message, true);
    return;
  }
  for (const button of byId("exports").children) {
    const reason = refusals[button.dataset.to];
    button.ariaDisabled = String(Boolean(reason));
    button.title = reason ?? "";
  }
  tell();
}

/** Why the tool that is pointed at, or has the focus, is greyed; without one, the first reason if all are. */
function tell(name = document.activeElement.dataset.to) {
  const reasons = Object.values(refusals);
  byId("export-reason").textContent = (name ? refusals[name] : reasons.every(Boolean) && reasons[0]) || "";
}

async function exportSetting(to) {
  return save(await ask("export", { json: { to, setting: settings.sliders } }));
}

export function startExports() {
  let timer;
  document.addEventListener("settings", (event) => {
    if (!("sliders" in event.detail)) return;
    refusals = {}; // they were those of another setting; until the next come, a click asks the server
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE);
  });
}
