// Where the page's controls stand. Every change is kept in the address and told to whoever listens.

import { DEFAULTS, toQuery } from "./link.js";

export const settings = { sliders: {}, ...DEFAULTS };

export function change(part) {
  Object.assign(settings, part);
  const query = toQuery(settings);
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  document.dispatchEvent(new CustomEvent("settings", { detail: part }));
}

export function moveSliders(values) {
  change({ sliders: { ...settings.sliders, ...values } });
}

/** `safety 0.5, helpfulness −0.2`; `bare` where all are at 0. */
export function settingText(sliders) {
  const moved = Object.entries(sliders).filter(([, value]) => value !== 0);
  return moved.map(([axis, value]) => `${axis} ${signed(value)}`).join(", ") || "all sliders at 0";
}

export function signed(value) {
  return String(value).replace("-", "−");
}
