// Enhancements only: each page works without this file. Each is bound by a data- attribute, and a failure of
// one leaves the others. Nothing is stored but the name of the time zone, once.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const safely = (name, enhance) => { try { enhance(); } catch (fault) { console.warn(name, fault); } };

  root.classList.add("scripted");

  safely("copy", () => {
    for (const button of all("[data-copy]")) {
      button.addEventListener("click", async () => {
        const source = button.dataset.copy ? document.getElementById(button.dataset.copy) : null;
        await navigator.clipboard.writeText(source ? source.innerText : location.href);
        const word = button.querySelector("[data-done]");
        if (word) word.textContent = word.dataset.done;
      });
    }
  });

  safely("submit", () => {
    for (const field of all("[data-submit]")) field.addEventListener("change", () => field.form.requestSubmit());
  });

  safely("print", () => {
    for (const button of all("[data-print]")) { button.hidden = false; button.addEventListener("click", () => print()); }
  });

  safely("zone", () => {
    const base = root.dataset.base || "/";
    if (document.cookie.includes("zone=")) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone) document.cookie = `zone=${encodeURIComponent(zone)}; path=${base}; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  });

  safely("menus", () => {
    const menus = () => all("details.menu[open], details.pick[open]");
    document.addEventListener("click", (event) => { for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false; });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      for (const menu of menus()) { menu.open = false; menu.querySelector("summary").focus(); }
    });
  });

  safely("message", () => { const message = document.querySelector("[data-message]"); if (message) message.focus(); });

  safely("keys", () => {
    if (root.dataset.keys === "off") return;
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
      const rows = all("[data-row]");
      const here = rows.indexOf(document.activeElement);
      const moves = {
        "/": () => document.querySelector("[data-find]"),
        j: () => rows[Math.min(here + 1, rows.length - 1)],
        k: () => rows[Math.max(here - 1, 0)],
        u: () => { document.querySelector("[data-up]")?.click(); },
      };
      const target = moves[event.key]?.();
      if (target) { event.preventDefault(); target.focus(); }
    });
  });
})();
