// What the sliders' gates read of a chat: why a slider that was moved may do nothing.

import { element } from "./elements.js";
import { ask } from "./server.js";

export const gatesLine = () => element("p", { className: "gates", ariaLive: "polite" });

/** Write it into a line, which stays empty where no slider has a gate. */
export async function showGates(line, chat) {
  let text;
  try {
    ({ text } = await (await ask("gates", { json: { chat } })).json());
  } catch (error) {
    text = error.message;
  }
  if (line.textContent !== text) line.textContent = text; // said aloud once
}
