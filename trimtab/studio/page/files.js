// The model, vector files, plots by layer and reports.

import { byId, during, element } from "./elements.js";
import { ask, save } from "./server.js";

const BUILTIN = ["safety", "helpfulness"];
let showState = () => {};

export function showFiles({ model, axes }) {
  byId("model-line").textContent = `${model.name}: ${model.type}, ${model.layers} layers of width ${model.width}`;
  byId("model-name").value = model.name;
  byId("layer-plots").replaceChildren(...axes.map(profile));
  byId("vector-links").replaceChildren(
    ...axes.map(({ name }) => {
      const button = element("button", { type: "button" }, `${name}.safetensors`);
      button.addEventListener("click", () =>
        during(button, "export-status", "Writing…", async () => {
          return save(await ask(`vectors?axis=${encodeURIComponent(name)}`, { method: "GET" }));
        }),
      );
      return element("li", {}, button);
    }),
  );
}

function profile(axis) {
  const plots = Object.values(axis.plots).map(({ title, svg }) =>
    element("img", { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: `${title}: ${axis.name}` }),
  );
  const missing = axis.plots.auroc ? [] : [
    element("p", {}, "No AUROC: this vector wasn't measured on held-out pairs when it was made."),
  ];
  return element(
    "section", { ariaLabel: axis.name },
    element("h3", {}, axis.name),
    element("div", { className: "plots" }, ...plots),
    ...missing,
  );
}

async function state(response) {
  showState(await (await response).json());
}

async function loadModel() {
  await state(ask("model", { json: { name: byId("model-name").value.trim() } }));
  return "Loaded.";
}

async function extract() {
  const begun = Date.now();
  for (const [place, axis] of BUILTIN.entries()) {
    const tell = () => {
      const seconds = Math.round((Date.now() - begun) / 1000);
      byId("model-status").textContent = `Extracting ${axis} (${place + 1} of ${BUILTIN.length}), ${seconds} s…`;
    };
    tell();
    const timer = setInterval(tell, 1000);
    try {
      await state(ask(`extract/${axis}`));
    } finally {
      clearInterval(timer);
    }
  }
  return "Extracted.";
}

async function addVector() {
  const file = byId("vector-file").files[0];
  const path = byId("vector-path").value.trim();
  if (!file && !path) throw new Error("Choose a vector file, or write the path of one.");
  const stem = (file ? file.name : path.split("/").pop()).replace(/\.safetensors$/, "");
  const axis = byId("vector-axis").value.trim() || stem;
  await state(
    file
      ? ask(`vectors?axis=${encodeURIComponent(axis)}`, { method: "PUT", bytes: file })
      : ask("vectors", { json: { axis, path } }),
  );
  byId("vector-file").value = "";
  return `Added ${axis}.`;
}

async function openReport() {
  const file = byId("report-file").files[0];
  const path = byId("report-path").value.trim();
  if (!file && !path) throw new Error("Choose a report, or write the path of one.");
  const response = file ? ask("report", { method: "PUT", bytes: file }) : ask("report", { json: { path } });
  const frame = byId("report");
  frame.srcdoc = await (await response).text();
  frame.hidden = false;
}

export function startFiles(show) {
  showState = show;
  const works = {
    "load-model": ["model-status", "Loading…", loadModel],
    "extract": ["model-status", "Extracting…", extract],
    "add-vector": ["model-status", "Reading…", addVector],
    "open-report": ["report-status", "Reading…", openReport],
  };
  for (const [id, [status, begin, work]] of Object.entries(works)) {
    byId(id).addEventListener("click", (event) => during(event.target, status, begin, work));
  }
}
