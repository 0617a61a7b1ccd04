// Times are written in UTC; here they become those of the viewer's zone, with UTC at hand as the title.
"use strict";
function showLocalTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    element.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
showLocalTimes(document);
