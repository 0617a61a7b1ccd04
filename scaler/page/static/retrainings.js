// Loads the state of the retrainings again every few seconds, while the page can be seen.
"use strict";
const EVERY_MS = 5000;
const place = document.getElementById("retrainings");
async function again() {
  if (document.visibilityState === "visible") {
    const answer = await fetch("/models/retrainings").catch(() => null);
    if (answer && answer.status === 401) return;
    if (answer && answer.ok) {
      const found = document.createElement("div");
      found.innerHTML = await answer.text();
      showLocalTimes(found);
      if (found.textContent !== place.textContent) place.replaceChildren(...found.childNodes);
    }
  }
  setTimeout(again, EVERY_MS);
}
setTimeout(again, EVERY_MS);
