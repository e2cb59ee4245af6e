// Enhancements only: each page works without this file, and a failure of one leaves the others. Nothing is stored but the
// name of the time zone, once.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const safely = (name, enhance) => { try { enhance(); } catch (fault) { console.warn(name, fault); } };

  root.classList.add("scripted");

  // Beside Mailcow, its choice of light or dark counts until one is made here. Elsewhere its word is not to be seen.
  safely("mailcow theme", () => {
    const theme = localStorage.getItem("mailcow_theme");
    if (root.dataset.bsTheme || !["light", "dark"].includes(theme)) return;
    root.dataset.bsTheme = theme;
    for (const source of all("picture source[media]")) source.media = theme === "dark" ? "all" : "not all";
  });

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
        "?": () => document.querySelector("dialog")?.showModal(),
      };
      const target = moves[event.key]?.();
      if (target) { event.preventDefault(); target.focus(); }
    });
  });

  // Exact values under the pointer or the arrow keys, from the table below the chart.
  const plots = () => {
    for (const plot of all("[data-plot]:not([data-bound])")) {
      plot.dataset.bound = "";
      const card = plot.closest(".card"), svg = plot.querySelector("svg"), cursor = svg.querySelector("[data-cursor]");
      const rows = all("[data-points] tr", card), readout = card.querySelector("[data-readout]");
      const names = all(".inner thead th", card).slice(1).map((head) => head.textContent);
      let here = -1;
      const show = (index) => {
        here = Math.max(0, Math.min(index, rows.length - 1));
        const [time, ...values] = [...rows[here].children].map((cell) => cell.textContent);
        cursor.setAttribute("x", rows[here].dataset.x * 0.72);
        cursor.setAttribute("height", 200);
        readout.textContent = `${time}: ` + values.map((value, at) => (values.length > 1 ? `${names[at]} ${value}` : value)).join(" · ");
      };
      const hide = () => { cursor.setAttribute("height", 0); readout.textContent = ""; };
      // Zoom: the chosen stretch goes into the address; the server draws it.
      const hint = document.querySelector("[data-hint]"), chosen = svg.querySelector("[data-chosen]");
      const [from, to] = [Number(plot.dataset.from), Number(plot.dataset.to)];
      const look = (begin, end) => {
        const address = new URL(location.href);
        for (const name of ["from", "to"]) address.searchParams.delete(name);
        if (begin) { address.searchParams.set("from", Math.round(begin)); address.searchParams.set("to", Math.round(end)); }
        location.assign(address);
      };
      const part = (event) => { const box = svg.getBoundingClientRect(); return Math.max(0, Math.min((event.clientX - box.left) / box.width, 1)); };
      let start = null;
      if (hint) {
        hint.hidden = false;
        svg.addEventListener("pointerdown", (event) => { if (event.button === 0) { start = part(event); svg.setPointerCapture(event.pointerId); } });
        svg.addEventListener("pointercancel", () => { start = null; chosen.setAttribute("width", 0); });
        svg.addEventListener("pointerup", (event) => {
          const ends = [start, part(event)].sort((a, b) => a - b);
          const far = start !== null && ends[1] - ends[0] > 0.02;
          start = null;
          chosen.setAttribute("width", 0);
          if (far) look(from + ends[0] * (to - from), from + ends[1] * (to - from));
        });
        svg.addEventListener("keydown", (event) => {
          const middle = here < 0 ? (from + to) / 2 : from + (rows[here].dataset.x / 1000) * (to - from);
          const half = { "+": 0.25, "-": 1 }[event.key] * (to - from);
          if (half) { event.preventDefault(); look(middle - half, middle + half); }
          if (event.key === "0") look();
        });
      }
      svg.addEventListener("pointermove", (event) => {
        const x = part(event) * 1000;
        if (start !== null) {
          chosen.setAttribute("x", Math.min(start * 1000, x) * 0.72);
          chosen.setAttribute("width", Math.abs(x - start * 1000) * 0.72);
        }
        const far = (row) => Math.abs(row.dataset.x - x);
        show(rows.reduce((best, row, at) => (far(row) < far(rows[best]) ? at : best), 0));
      });
      svg.addEventListener("pointerleave", hide);
      svg.tabIndex = 0;
      svg.addEventListener("blur", hide);
      svg.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) { event.preventDefault(); readout.setAttribute("aria-live", "polite"); show(here < 0 ? rows.length - 1 : here + step); }
      });
    }
  };
  safely("plots", plots);

  // Parts of the page renew themselves each minute while it is seen and none of them has the focus.
  safely("live", () => {
    if (!document.querySelector("[data-live]")) return;
    let paused = false;
    const buttons = () => {
      for (const button of all("[data-pause]")) {
        button.hidden = false;
        button.textContent = paused ? button.dataset.off : button.dataset.on;
        button.onclick = () => { paused = !paused; buttons(); };
      }
    };
    buttons();
    const renew = async () => {
      if (paused || document.hidden) return;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
      if (!answer || !answer.ok || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of all("[data-live]")) {
        const next = fresh.getElementById(part.id);
        if (!next || part.contains(document.activeElement) || part.matches(":hover") || part.querySelector("details[open]")) continue;
        if (!next.isEqualNode(part)) part.replaceChildren(...next.childNodes);
      }
      buttons();
      plots();
    };
    setInterval(renew, 60000);
    // Who comes back to the page sees the present.
    document.addEventListener("visibilitychange", renew);
  });
})();
