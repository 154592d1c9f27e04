// Small helpers for the document.

export const byId = (id) => document.getElementById(id);

/** element("p", {className: "x"}, "text", child, …) */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A model's answer with room for the thought before it, folded: nodes for the page, and what shows both. */
export function answerBox() {
  const thought = element("p");
  const folded = element("details", { className: "thought", hidden: true }, element("summary", {}, "Thought"), thought);
  const answer = element("p", { className: "answer" });
  const show = (text, reasoning) => {
    answer.textContent = text;
    thought.textContent = reasoning;
    folded.hidden = !reasoning;
  };
  return { nodes: [folded, answer], show };
}

/** A section's status line: what happens, or the sentence that says what went wrong. */
export function say(id, text, isError = false) {
  const line = byId(id);
  line.textContent = text;
  line.classList.toggle("error", isError);
}

/** Run some work with its button off; its error becomes the status. */
export async function during(button, status, begin, work) {
  button.disabled = true;
  say(status, begin);
  try {
    say(status, (await work()) ?? "");
  } catch (error) {
    if (error.name === "AbortError") say(status, "Stopped.");
    else say(status, error.message, true);
  } finally {
    button.disabled = false;
  }
}

export function options(select, names, chosen) {
  select.replaceChildren(...names.map(([value, text]) => new Option(text, value, false, value === chosen)));
}
