// The sliders and the pad: two views of the same values.

import { doseCurve } from "./dose.js";
import { byId, element, say } from "./elements.js";
import { moveSliders, settings, signed } from "./settings.js";

let padAxes = []; // [across, up]
let curves = new Map(); // by axis

export function showSliders(axes) {
  const dosed = axes.filter(({ dose }) => dose);
  curves = new Map(dosed.map(({ name, dose }) => [name, doseCurve(name, dose)]));
  byId("slider-list").replaceChildren(...axes.map(slider));
  const named = ["helpfulness", "safety"].map((name) => axes.find((axis) => axis.name === name));
  padAxes = named.every(Boolean) ? named : axes.slice(0, 2);
  byId("pad-box").hidden = padAxes.length < 2;
  byId("no-axes").hidden = axes.length > 0;
  byId("reset").disabled = axes.length === 0;
  if (padAxes.length === 2) {
    byId("pad-across").textContent = `${padAxes[0].name} →`;
    byId("pad-up").textContent = `${padAxes[1].name} ↑`;
    byId("pad").ariaLabel = `Pad: left and right move ${padAxes[0].name}, up and down ${padAxes[1].name}`;
  }
  update();
}

function slider(axis) {
  const input = element("input", {
    type: "range", id: `slider-${axis.name}`, min: axis.low, max: axis.high, step: axis.step,
  });
  input.addEventListener("input", () => moveSliders({ [axis.name]: Number(input.value) }));
  const kind = axis.calibrated ? "calibrated range" : "range";
  return element(
    "div", { className: "slider" },
    element("label", { htmlFor: input.id }, axis.name),
    element("output", { id: `value-${axis.name}`, htmlFor: input.id }),
    input,
    element(
      "span", { className: "range" },
      `${kind} ${signed(axis.low)} to ${signed(axis.high)}${axis.acts && "; "}${axis.acts}`,
    ),
    ...(axis.dose ? [curves.get(axis.name).figure] : []),
  );
}

function update() {
  for (const [name, value] of Object.entries(settings.sliders)) {
    byId(`slider-${name}`).value = value;
    byId(`value-${name}`).textContent = signed(value);
    curves.get(name)?.mark(value);
  }
  if (padAxes.length < 2) return;
  const [across, up] = padAxes;
  const [x, y] = padAxes.map((axis) => settings.sliders[axis.name]);
  const pad = byId("pad");
  pad.ariaValueMin = up.low;
  pad.ariaValueMax = up.high;
  pad.ariaValueNow = y;
  pad.ariaValueText = `${across.name} ${x}, ${up.name} ${y}`;
  pad.style.setProperty("--x", share(across, x));
  pad.style.setProperty("--y", 1 - share(up, y));
  pad.style.setProperty("--zero-x", share(across, 0));
  pad.style.setProperty("--zero-y", 1 - share(up, 0));
}

function share(axis, value) {
  return axis.high > axis.low ? (value - axis.low) / (axis.high - axis.low) : 0.5;
}

/** The value of an axis' grid nearest to one. */
function snapped(axis, value) {
  const steps = Math.round(Math.min(Math.max(value, axis.low), axis.high) / axis.step);
  return Number((steps * axis.step).toPrecision(12));
}

function movePad(x, y) {
  const [across, up] = padAxes;
  moveSliders({ [across.name]: snapped(across, x), [up.name]: snapped(up, y) });
}

function point(event) {
  const box = byId("pad").getBoundingClientRect();
  const [across, up] = padAxes;
  const x = (event.clientX - box.left) / box.width;
  const y = 1 - (event.clientY - box.top) / box.height;
  movePad(across.low + x * (across.high - across.low), up.low + y * (up.high - up.low));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

function press(event) {
  const [across, up] = padAxes;
  if (event.key === "Home") movePad(0, 0);
  else if (event.key in ARROWS) {
    const [x, y] = ARROWS[event.key].map((direction) => direction * (event.shiftKey ? 5 : 1));
    const now = settings.sliders;
    movePad(now[across.name] + x * across.step, now[up.name] + y * up.step);
  } else return;
  event.preventDefault();
}

export function startSliders() {
  const pad = byId("pad");
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    point(event);
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) point(event);
  });
  pad.addEventListener("keydown", press);
  byId("reset").addEventListener("click", () => {
    moveSliders(Object.fromEntries(Object.keys(settings.sliders).map((name) => [name, 0])));
  });
  document.addEventListener("settings", (event) => {
    if (!("sliders" in event.detail)) return;
    say("slider-status", "");
    update();
  });
}
