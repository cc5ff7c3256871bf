// The list and the pane together: which row is current, what happens when htmx
// has put a message into the pane, and the keys that move about.
"use strict";
(() => {
  const pane = document.getElementById("pane");
  const rows = document.getElementById("rows");
  const scroll = document.getElementById("scroll");
  const status = document.getElementById("status");
  const name = document.title.split(" · ").pop();
  const unread = () => (document.title.match(/^\([^)]*\) /) || [""])[0];
  let current = scroll ? Number(scroll.dataset.current) : -1; // the open entry
  let cursor = null; // the row that keys move from: its entry

  const link = (li) => li && li.querySelector("a");
  const rowOf = (entry) => rows && rows.querySelector(`[data-entry="${entry}"]`);
  const reading = () => document.body.classList.contains("reading");

  function mark() {
    if (!rows) return;
    for (const li of rows.children) {
      const here = Number(li.dataset.entry) === current;
      if (here) link(li).setAttribute("aria-current", "true");
      else link(li).removeAttribute("aria-current");
    }
  }

  // A message that was opened is read: its row should say so at once.
  function opened() {
    const article = pane.querySelector("[data-entry]");
    document.body.classList.add("reading");
    pane.scrollTop = 0;
    if (!article) {
      const heading = document.getElementById("subject");
      if (heading) heading.focus();
      return;
    }
    current = Number(article.dataset.entry);
    document.title = `${unread()}${article.dataset.title} · ${name}`;
    document.body.dataset.class = article.dataset.class;
    const li = rowOf(current);
    if (li) li.classList.remove("row-new");
    mark();
    if (status) status.textContent = article.dataset.title;
    // Where list and pane are beside each other the reader stays in the list.
    const list = document.getElementById("list");
    if (!list.offsetParent || !rows || !rows.contains(document.activeElement)) {
      document.getElementById("subject").focus({ preventScroll: true });
    }
  }

  document.addEventListener("htmx:after:swap", (e) => {
    if (!pane.contains(e.target) && e.target !== pane && !(e.detail && e.detail.ctx && e.detail.ctx.target === pane)) return;
    opened();
    document.dispatchEvent(new CustomEvent("sijill:message"));
  });
  document.addEventListener("sijill:rows", mark);

  // Without an answer the link is followed in the ordinary way, which shows
  // whatever the browser has to say.
  document.addEventListener("htmx:error", (e) => {
    const ctx = e.detail && e.detail.ctx;
    if (ctx && ctx.sourceElement && ctx.sourceElement.href) location.assign(ctx.sourceElement.href);
  });

  async function step(by) {
    if (!rows) return;
    const from = rowOf(cursor === null ? current : cursor);
    let li;
    if (window.sijillList) {
      const at = from ? Number(from.dataset.at) + by : Number(rows.firstElementChild.dataset.at);
      li = await window.sijillList.show(at);
    } else {
      li = from ? (by > 0 ? from.nextElementSibling : from.previousElementSibling) : rows.firstElementChild;
    }
    go(li);
  }

  function go(li) {
    if (!li) return;
    cursor = Number(li.dataset.entry);
    link(li).focus({ preventScroll: true });
    if (!window.sijillList) li.scrollIntoView({ block: "nearest" });
    // While a message is open, moving opens the next one.
    if (reading() && document.getElementById("list").offsetParent) link(li).click();
    else if (reading()) location.assign(link(li).href);
  }

  async function end(last) {
    if (!rows) return;
    const at = last && window.sijillList ? window.sijillList.total - 1 : 0;
    const li = window.sijillList ? await window.sijillList.show(at) : last ? rows.lastElementChild : rows.firstElementChild;
    if (!li) return;
    cursor = Number(li.dataset.entry);
    link(li).focus({ preventScroll: true });
  }

  const inLetter = (e) => pane.contains(e.target);
  // beside is the row after the open one, or the one before it at the end.
  function beside() {
    const li = rowOf(current);
    return li ? li.nextElementSibling || li.previousElementSibling : null;
  }
  window.sijillDesk = {
    cursor: () => rowOf(cursor === null ? current : cursor),
    beside,
    open: (li) => {
      const now = rowOf(Number(li.dataset.entry));
      if (!now) return;
      cursor = Number(now.dataset.entry);
      link(now).focus({ preventScroll: true });
      link(now).click();
    },
  };
  // Where the list was empty, news begin it.
  if (!rows) document.addEventListener("sijill:news", (e) => {
    const form = document.getElementById("act");
    const here = form && e.detail.folders.find((f) => String(f.id) === form.dataset.folder);
    if (here && here.total > 0 && !reading()) location.reload();
  });

  window.sijillKeys = Object.assign(window.sijillKeys || {}, {
    j: () => { step(1); return true; },
    k: () => { step(-1); return true; },
    o: () => {
      const li = rowOf(cursor === null ? current : cursor);
      if (li) link(li).click();
      return true;
    },
    Home: (e) => { if (inLetter(e)) return false; end(false); return true; },
    End: (e) => { if (inLetter(e)) return false; end(true); return true; },
  });
  if (rows) rows.addEventListener("focusin", (e) => {
    const li = e.target.closest("li");
    if (li) cursor = Number(li.dataset.entry);
  });

  const open = scroll && !window.sijillList && rowOf(current);
  if (open) open.scrollIntoView({ block: "nearest" });
})();
