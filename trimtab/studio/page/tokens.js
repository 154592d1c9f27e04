// The last turn's tokens, colored by what an axis' direction finds in them.

import { lastChats } from "./chat.js";
import { byId, options, say } from "./elements.js";
import { ask } from "./server.js";
import { change, settings } from "./settings.js";

let newest = 0;

async function show() {
  const axis = settings.color;
  const chats = lastChats();
  const mine = ++newest;
  byId("token-boxes").hidden = !axis || !chats;
  if (!axis || !chats) {
    say("token-status", axis ? "Ask something first." : "");
    return;
  }
  say("token-status", "Reading…");
  try {
    const found = {};
    for (const side of ["bare", "steered"]) {
      const setting = side === "bare" ? {} : chats.setting;
      found[side] = await (await ask("tokens", { json: { chat: chats[side], setting, axis } })).json();
    }
    if (mine !== newest) return;
    for (const [side, { html, layer, low, high }] of Object.entries(found)) {
      byId(`tokens-${side}`).innerHTML = html; // made by the server, which escapes the tokens
      byId(`tokens-${side}-range`).textContent = `layer ${layer}, readings ${low.toFixed(1)} to ${high.toFixed(1)}`;
    }
    say("token-status", "");
  } catch (error) {
    say("token-status", error.message, true);
  }
}

export function showTokenAxes(axes) {
  options(byId("color"), [["", "no colors"], ...axes.map(({ name }) => [name, name])], settings.color);
  show();
}

export function startTokens() {
  byId("color").addEventListener("change", (event) => {
    change({ color: event.target.value });
    show();
  });
  document.addEventListener("answered", show);
}
