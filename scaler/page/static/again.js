// Loads the page again every few seconds, while it can be seen, and exchanges the parts that are marked with data-again.
"use strict";
const seconds = Number(document.body.dataset.again);
const asOf = document.getElementById("as-of");

async function loaded() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer && answer.status === 401) return null;
  if (!answer || !answer.ok) {
    asOf.classList.add("stale");
    return true;
  }
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  showLocalTimes(found);
  for (const part of document.querySelectorAll("[data-again-part]")) {
    const next = found.getElementById(part.id);
    const isUsed = part.contains(document.activeElement) && document.activeElement !== part;
    if (next && !isUsed && next.innerHTML !== part.innerHTML) part.replaceChildren(...next.childNodes);
  }
  asOf.classList.remove("stale");
  return true;
}

async function again() {
  if (document.visibilityState === "visible" && !(await loaded())) return;
  setTimeout(again, 1000 * seconds);
}
if (seconds > 0) setTimeout(again, 1000 * seconds);
