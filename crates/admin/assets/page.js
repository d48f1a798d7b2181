// Renews figures in place while the page is seen. Everything works without it.
"use strict";
(() => {
  const every = 15000;
  const renew = async () => {
    if (document.visibilityState !== "visible") return;
    const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      // What somebody is using is left alone.
      const used = part.contains(document.activeElement) || part.querySelector("[open],:checked");
      if (next && !used && next.innerHTML !== part.innerHTML) part.replaceChildren(...next.childNodes);
    }
  };
  if (document.querySelector("[data-live]")) {
    setInterval(() => renew().catch(() => {}), every);
  }
})();
