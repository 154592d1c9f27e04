// A slider's measured effects by its value. The server draws the curve; here the present value moves along it.

import { element } from "./elements.js";
import { signed } from "./settings.js";

/** The curve as an element, and how to mark a value on it. */
export function doseCurve(name, { svg, values, effects, outcome, prompts }) {
  const figure = element("div", { className: "dose", role: "img" });
  figure.innerHTML = svg; // made by the server, which escapes the outcome
  const points = figure.querySelector(".curve").points;
  const mark = figure.querySelector(".now");
  const told = figure.querySelector(".told");

  return {
    figure,
    mark(value) {
      const at = values.findIndex((end, place) => place > 0 && values[place - 1] <= value && value <= end);
      const share = (value - values[at - 1]) / (values[at] - values[at - 1]);
      const between = (from, to) => from + share * (to - from);
      mark.setAttribute("visibility", at < 0 ? "hidden" : "visible");
      if (at > 0) {
        const [from, to] = [points[at - 1], points[at]];
        mark.setAttribute("transform", `translate(${between(from.x, to.x)} ${between(from.y, to.y)})`);
      }
      const effect = at < 0 ? "not measured" : change(between(effects[at - 1], effects[at]));
      told.textContent = `at ${signed(value)}: ${effect}`;
      figure.ariaLabel = `Measured dose of ${name}, ${told.textContent}: change in ${outcome} (${prompts} prompts)`;
    },
  };
}

/** `+0.34` */
function change(effect) {
  const text = signed(effect.toFixed(2));
  return text.startsWith("−") ? text : `+${text}`;
}
