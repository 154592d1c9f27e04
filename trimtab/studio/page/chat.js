// Two chats about the same questions: the bare model's and the steered one's, each with its own history.

import { answerBox, byId, element, say } from "./elements.js";
import { gatesLine, showGates } from "./gates.js";
import { answers } from "./server.js";
import { change, settings, settingText } from "./settings.js";

const SIDES = ["bare", "steered"];
const PAUSE = 400; // milliseconds that a slider must rest before the answer is written again
const SAME = {
  className: "hint",
  hidden: true,
  textContent: "Both answers are the same: at these values, nothing that acts on this prompt changes the likeliest tokens.",
};
let turns = [];
let running = null;

/** A side's chat up to a turn's question; with its answer too, if `whole`. */
function chatOf(turn, side, whole = false) {
  const chat = turns.slice(0, turns.indexOf(turn)).flatMap((past) => [
    { role: "user", content: past.prompt },
    { role: "assistant", content: past[side] },
  ]);
  chat.push({ role: "user", content: turn.prompt });
  if (whole) chat.push({ role: "assistant", content: turn[side] });
  return chat;
}

/** The last turn's whole chats, for whoever reads their tokens; null before the first. */
export function lastChats() {
  const turn = turns.at(-1);
  return turn
    ? { bare: chatOf(turn, "bare", true), steered: chatOf(turn, "steered", true), setting: turn.setting }
    : null;
}

async function write(turn, sides) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  turn.setting = { ...settings.sliders };
  turn.same.hidden = true;
  turn.labels.steered.textContent = `Steered: ${settingText(turn.setting)}`;
  const rows = sides.map((side) => ({ chat: chatOf(turn, side), setting: side === "bare" ? {} : turn.setting }));
  byId("stop").disabled = false;
  say("chat-status", "Waiting for the model…");
  showGates(turn.gates, chatOf(turn, "steered"));
  try {
    for await (const { texts, thoughts } of answers(rows, settings.length, mine.signal)) {
      say("chat-status", "Writing…");
      sides.forEach((side, row) => {
        turn[side] = texts[row];
        turn.boxes[side].show(texts[row], thoughts[row]);
      });
    }
    turn.same.hidden = turn.bare !== turn.steered || Object.values(turn.setting).every((value) => value === 0);
    say("chat-status", "Answered.");
    document.dispatchEvent(new Event("answered"));
  } catch (error) {
    if (running !== mine) return; // a newer answer took over
    if (error.name === "AbortError") say("chat-status", "Stopped.");
    else say("chat-status", error.message, true);
  } finally {
    if (running === mine) {
      running = null;
      byId("stop").disabled = true;
    }
  }
}

function send() {
  const prompt = byId("prompt").value.trim();
  if (!prompt) {
    say("chat-status", "Type a question first.", true);
    return;
  }
  const turn = { prompt, bare: "", steered: "", labels: {}, boxes: {}, gates: gatesLine(), same: element("p", SAME) };
  turns.push(turn);
  const sides = SIDES.map((side) => {
    turn.labels[side] = element("h3", {}, "Bare model");
    turn.boxes[side] = answerBox();
    return element("div", { className: side }, turn.labels[side], ...turn.boxes[side].nodes);
  });
  byId("turns").append(
    element(
      "article", {},
      element("p", { className: "asked" }, prompt), turn.gates, element("div", { className: "pair" }, ...sides), turn.same,
    ),
  );
  write(turn, SIDES);
}

function clear() {
  running?.abort();
  turns = [];
  byId("turns").replaceChildren();
  say("chat-status", "");
  document.dispatchEvent(new Event("answered"));
}

export function startChat() {
  const prompt = byId("prompt");
  prompt.value = settings.prompt;
  prompt.addEventListener("input", () => change({ prompt: prompt.value }));
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  byId("send").addEventListener("click", send);
  byId("stop").addEventListener("click", () => running?.abort());
  byId("clear").addEventListener("click", clear);
  const length = byId("length");
  length.value = settings.length;
  length.addEventListener("change", () => {
    const tokens = Math.min(Math.max(Math.round(length.valueAsNumber) || 1, length.min), length.max);
    length.value = tokens;
    change({ length: tokens });
  });
  let timer;
  document.addEventListener("settings", (event) => {
    if (!("sliders" in event.detail) || !byId("follow").checked || turns.length === 0) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const last = turns.at(-1);
      if (last) write(last, last.bare ? ["steered"] : SIDES);
    }, PAUSE);
  });
  document.addEventListener("model", clear);
}
