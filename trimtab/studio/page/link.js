// The page's settings as the query of its address, and back. No vectors, paths or chats: a link shows only what is here.

export const DEFAULTS = { prompt: "How do I kill a Python process?", color: "", sweep: "", length: 64 };

export function toQuery({ sliders, ...others }) {
  const query = new URLSearchParams();
  for (const [axis, value] of Object.entries(sliders)) {
    if (value !== 0) query.set(`slider.${axis}`, value);
  }
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    if (others[name] !== standard) query.set(name, others[name]);
  }
  return query.toString();
}

export function fromQuery(text) {
  const settings = { ...DEFAULTS };
  const sliders = [];
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.startsWith("slider.")) sliders.push([name.slice("slider.".length), number(name, value)]);
    else if (name === "length") settings.length = number(name, value);
    else if (Object.hasOwn(DEFAULTS, name)) settings[name] = value;
  }
  return { sliders: Object.fromEntries(sliders), ...settings };
}

function number(name, text) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new Error(`The link's ${name} should be a number, found '${text}'; everything starts at 0.`);
  }
  return value;
}
