// Asking the studio's server. Whatever goes wrong is an Error whose message is one sentence.

import { token } from "./token.js";

export async function ask(path, { method = "POST", json, bytes, signal } = {}) {
  const options = { method, signal, headers: { Authorization: `Bearer ${token}` } };
  if (bytes !== undefined) {
    options.body = bytes;
    options.headers["Content-Type"] = "application/octet-stream";
  } else if (method !== "GET") {
    options.body = JSON.stringify(json ?? {});
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The studio's server doesn't answer; is trimtab studio still running?");
  }
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}

/** Answers to rows of one batch, so far, after every token: {texts, thoughts}, a thought "" where there is none. */
export async function* answers(rows, length, signal) {
  const response = await ask("answers", { json: { rows, max_new_tokens: length }, signal });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (text + decoder.decode(value, { stream: true })).split("\n");
    text = lines.pop();
    for (const line of lines) {
      const found = JSON.parse(line);
      if (found.error) throw new Error(found.error);
      yield found;
    }
  }
}

/** Write what the server gave to the downloads, under the name that it gave. */
export async function save(response) {
  const [, name] = response.headers.get("Content-Disposition").match(/filename\*=UTF-8''(.*)/);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = decodeURIComponent(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  return "Written to your downloads.";
}
