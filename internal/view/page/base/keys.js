// The keys that work on every page. Each does what a link or button on the page
// does too; without this script nothing is out of reach.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const own = () => document.body.dataset.class ? `?c=${document.body.dataset.class}` : "";
  const places = { i: () => `/go/inbox${own()}`, s: () => `/go/sent${own()}`, d: () => `/go/drafts${own()}`, f: () => "/folders", r: () => "/register" };
  let going = false; // whether "g" was pressed just now

  const typing = (el) => el.closest("input, textarea, select, [contenteditable]");

  function help() {
    const dialog = byId("keys");
    if (!dialog) return false;
    if (dialog.open) dialog.close();
    else dialog.showModal();
    return true;
  }

  const press = (id) => () => {
    const el = byId(id);
    if (!el) return false;
    el.click();
    return true;
  };

  const keys = {
    "?": help,
    "؟": help,
    "/": () => {
      const q = byId("q");
      if (!q || !q.offsetParent) {
        if (byId("keys")) location.assign("/search");
        return true;
      }
      q.focus();
      q.select();
      return true;
    },
    u: press("back"),
    c: () => {
      const write = document.querySelector(".side-write, .tabs a[href='/compose']");
      if (!write) return false;
      location.assign(`/compose${document.body.dataset.class ? `?class=${document.body.dataset.class}` : ""}`);
      return true;
    },
    r: press("reply"),
    a: press("reply-all"),
    f: press("forward"),
    v: press("verify"),
    m: press("unread"),
    h: () => {
      const d = byId("headers");
      if (!d) return false;
      d.open = !d.open;
      if (d.open) d.scrollIntoView();
      return true;
    },
  };

  // On an Arabic keyboard the same keys give other letters.
  const arabic = {
    "ت": "j", "ن": "k", "خ": "o", "ع": "u", "ر": "v", "ة": "m", "ا": "h", "ل": "g", "ه": "i", "ب": "f", "ق": "r",
    "ؤ": "c", "ش": "a", "ث": "e", "س": "s", "ء": "x", "ئ": "z", "ي": "d", "ظ": "/", "ْ": "X",
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    if (typing(e.target)) {
      if (e.key === "Escape") e.target.blur();
      if (e.target.type !== "checkbox") return; // Picking leaves the keys as they are.
    }
    const open = document.querySelector("dialog:modal");
    const key = arabic[e.key] || e.key;
    if (open && key !== "?" && key !== "؟") return;
    if (going) {
      going = false;
      if (places[key] && byId("keys")) location.assign(places[key]());
      return;
    }
    if (key === "g") {
      going = true;
      setTimeout(() => { going = false; }, 1500);
      return;
    }
    // Pages add keys of their own in window.sijillKeys.
    const act = keys[key] || (window.sijillKeys && window.sijillKeys[key]);
    if (act && act(e)) e.preventDefault();
  });

  // A new letter is written as whom one is reading as.
  document.addEventListener("click", (e) => {
    const write = e.target.closest && e.target.closest("a[href='/compose']");
    if (write && document.body.dataset.class) write.href = `/compose?class=${document.body.dataset.class}`;
  });

  // A menu closes when one looks elsewhere.
  document.addEventListener("click", (e) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(e.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
})();
