// A drawer with what is known of the model and of each slider.

import { byId, element, say } from "./elements.js";
import { ask } from "./server.js";

async function open() {
  byId("drawer").showModal();
  byId("cards").replaceChildren();
  say("cards-status", "Reading…");
  try {
    const { model, card, axes, limits } = await (await ask("cards", { method: "GET" })).json();
    byId("cards").replaceChildren(
      described("The model", model),
      ...(card ? [element("details", {}, element("summary", {}, "The model's own card"), element("pre", {}, card))] : []),
      ...Object.entries(axes).map(([name, html]) => described(name, html)),
      element("p", { className: "care" }, limits),
    );
    say("cards-status", "");
  } catch (error) {
    say("cards-status", error.message, true);
  }
}

function described(title, html) {
  const content = element("div", { innerHTML: html }); // made by the server, which escapes what files say
  return element("div", { className: "described" }, element("h3", {}, title), content);
}

export function startCards() {
  byId("open-cards").addEventListener("click", open);
  byId("close-cards").addEventListener("click", () => byId("drawer").close());
}
