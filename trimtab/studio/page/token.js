// The token of the link that `trimtab studio` printed. It moves from the address to the browser's store, which this
// address alone can read: so a reload has it, and a copied link doesn't.

const query = new URLSearchParams(location.search);
if (query.has("token")) {
  localStorage.setItem("token", query.get("token"));
  query.delete("token");
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

export const token = localStorage.getItem("token") ?? "";
