// The present setting as a file for another tool. What a tool's file can't say is greyed, with the reason.

import { byId, during, options, say } from "./elements.js";
import { ask, save } from "./server.js";
import { settings } from "./settings.js";

const PAUSE = 300; // milliseconds that a slider must rest before the server is asked
let refusals = {}; // the reason by tool, or null
let newest = 0;

export function showExports(names) {
  options(byId("export-to"), names.map((name) => [name, name]), byId("export-to").value || "gguf");
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
  for (const option of byId("export-to").options) option.disabled = Boolean(refusals[option.value]);
  tell();
}

function tell() {
  const reason = refusals[byId("export-to").value];
  byId("export").disabled = Boolean(reason);
  say("export-status", reason ?? "");
}

async function exportSetting() {
  return save(await ask("export", { json: { to: byId("export-to").value, setting: settings.sliders } }));
}

export function startExports() {
  byId("export").addEventListener("click", (event) => during(event.target, "export-status", "Writing…", exportSetting));
  byId("export-to").addEventListener("change", tell);
  let timer;
  document.addEventListener("settings", (event) => {
    if (!("sliders" in event.detail)) return;
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE);
  });
}
