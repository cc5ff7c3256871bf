// Picking messages and doing something to them. Rows come and go as the list is
// scrolled, so what is picked is remembered here and not in the page.
"use strict";
(() => {
  const list = document.getElementById("list");
  const form = document.getElementById("act");
  const rows = document.getElementById("rows");
  const pane = document.getElementById("pane");
  if (!list || !form) return;
  const all = document.getElementById("pick-all");
  const words = document.getElementById("picked");
  const numbers = new Intl.NumberFormat(document.documentElement.dataset.numbers === "arab" ? "ar-u-nu-arab" : "en");
  const picked = new Set(); // "FOLDER-UID"
  let anchor = null; // the row from which a range goes
  let sending = false;

  const box = (li) => li && li.querySelector(".row-pick input");

  function show() {
    if (rows) {
      for (const li of rows.children) {
        const on = (all && all.checked) || picked.has(li.dataset.pick);
        box(li).checked = on;
        li.classList.toggle("row-picked", on);
      }
    }
    const n = all && all.checked ? Number(document.getElementById("scroll").dataset.total) : picked.size;
    list.classList.toggle("picking", n > 0);
    words.textContent = n > 0 ? words.dataset.words.replace("{0}", numbers.format(n)) : "";
    if (all) all.indeterminate = !all.checked && picked.size > 0;
  }

  function clear() {
    picked.clear();
    if (all) all.checked = false;
    anchor = null;
    show();
  }

  function pick(li, on) {
    if (all && all.checked) { // Taking one out of all leaves what is in the page.
      all.checked = false;
      for (const other of rows.children) picked.add(other.dataset.pick);
    }
    if (on) picked.add(li.dataset.pick);
    else picked.delete(li.dataset.pick);
    anchor = li.dataset.pick;
  }

  // range picks what lies between the last one and this, fetching rows that are
  // not in the page.
  async function range(li) {
    const from = rows.querySelector(`[data-pick="${anchor}"]`);
    const known = [...rows.children];
    if (from && (!li.dataset.at || Math.abs(known.indexOf(from) - known.indexOf(li)) === Math.abs(Number(from.dataset.at) - Number(li.dataset.at)))) {
      const [a, b] = [known.indexOf(from), known.indexOf(li)].sort((x, y) => x - y);
      for (const row of known.slice(a, b + 1)) picked.add(row.dataset.pick);
    } else if (anchorAt !== null && li.dataset.at) {
      const [a, b] = [anchorAt, Number(li.dataset.at)].sort((x, y) => x - y);
      const scroll = document.getElementById("scroll");
      for (let at = a; at <= b; at += 200) {
        const answer = await fetch(`${scroll.dataset.rows}&from=${at}&n=${Math.min(200, b - at + 1)}`, { headers: { "HX-Request": "true" } });
        if (!answer.ok) break;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const row of page.querySelectorAll("li[data-pick]")) picked.add(row.dataset.pick);
      }
    } else picked.add(li.dataset.pick);
    anchor = li.dataset.pick;
    show();
  }
  let anchorAt = null; // offset of the anchor, for when its row has left the page

  list.addEventListener("click", (e) => {
    const input = e.target.closest(".row-pick input");
    if (!input || input === all) return;
    const li = input.closest("li");
    if (e.shiftKey && anchor) range(li);
    else {
      pick(li, input.checked);
      show();
    }
    anchorAt = li.dataset.at ? Number(li.dataset.at) : null;
  });
  if (all) all.addEventListener("change", () => { picked.clear(); show(); });
  document.addEventListener("sijill:rows", show);

  // send does it and shows what is then. to is where to go on, if anywhere.
  async function send(fields, entries, moved, to) {
    if (sending) return;
    busy(true);
    try {
      const answer = await fetch("/act", { method: "POST", headers: { "HX-Request": "true" }, body: fields });
      if (answer.status === 401) return location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok) return location.reload();
      if (to) return window.sijillGo(to, page);
      if (window.sijillList) await window.sijillList.reload();
      else if (moved && rows) for (const li of [...rows.children]) if (entries.has(li.dataset.pick)) li.remove();
      if (window.sijillList && window.sijillList.total === 0) return window.sijillGo(`/f/${form.dataset.folder}`, page);
      window.sijillToast(page);
    } finally {
      busy(false);
    }
  }

  function busy(on) {
    sending = on;
    if (window.sijillList) window.sijillList.busy = on;
  }

  const moves = (what) => ["archive", "delete", "junk", "notjunk", "move"].includes(what);
  const optimistic = { read: ["row-new", false], unread: ["row-new", true], flag: ["row-flagged", true], unflag: ["row-flagged", false] };

  function act(what, picks, fields, to) {
    const look = optimistic[what];
    if (look && rows) for (const li of rows.children) if (picks.has(li.dataset.pick) || (all && all.checked && !fields.has("one"))) mark(li, what, look);
    return send(fields, picks, moves(what), to);
  }

  function mark(li, what, [name, on]) {
    li.classList.toggle(name, on);
    if (name !== "row-flagged") return;
    const flag = li.querySelector(".row-flag");
    flag.setAttribute("aria-pressed", String(on));
    flag.value = `${on ? "unflag" : "flag"} ${li.dataset.pick}`;
  }

  form.addEventListener("submit", (e) => {
    const by = e.submitter;
    const data = new FormData(form, by);
    if (by && by.name === "one") {
      const [what, at] = by.value.split(" ");
      e.preventDefault();
      const one = new URLSearchParams({ one: by.value });
      const li = by.closest("li");
      act(what, new Set([at]), one);
      if (li) flagOpen(li.dataset.pick, what === "flag");
      return;
    }
    const fields = new URLSearchParams({ do: data.get("do") || "", to: data.get("to") || "", back: data.get("back") || "/" });
    if (all && all.checked) fields.set("all", all.value);
    else for (const at of picked) fields.append("at", at);
    if (data.get("do") === "delete" && form.dataset.role === "trash") { // Asked on a page of its own.
      for (const at of picked) if (!rows.querySelector(`[data-pick="${at}"]`)) form.append(hidden("at", at));
      return;
    }
    e.preventDefault();
    for (const menu of form.querySelectorAll("details[open]")) menu.open = false;
    const what = data.get("do");
    const open = pane.querySelector("[data-pick]");
    const gone = open && moves(what) && (picked.has(open.dataset.pick) || (all && all.checked));
    act(what, new Set(picked), fields, gone && back());
    clear();
  });

  function hidden(name, value) {
    const input = document.createElement("input");
    input.type = "hidden";
    input.name = name;
    input.value = value;
    return input;
  }

  // back is the list that the open message is of.
  function back() {
    const a = document.getElementById("back");
    return a && a.href;
  }
  function flagOpen(at, on) {
    const open = pane.querySelector(`[data-pick="${at}"] #flag`);
    if (!open) return;
    open.value = on ? "unflag" : "flag";
    open.setAttribute("aria-pressed", String(on));
  }

  pane.addEventListener("submit", async (e) => {
    const one = e.target;
    if (one.id !== "act-one") return;
    const data = new FormData(one, e.submitter);
    const what = data.get("do");
    if (what === "delete" && one.dataset.role === "trash") return;
    const at = data.get("at");
    if (what === "flag" || what === "unflag") {
      e.preventDefault();
      const li = rows && rows.querySelector(`[data-pick="${at}"]`);
      flagOpen(at, what === "flag");
      if (li) mark(li, what, optimistic[what]);
      return send(new URLSearchParams(data), new Set([at]), false);
    }
    if (!rows || !list.offsetParent) return; // On a phone the form leads back to the list.
    e.preventDefault();
    const next = moves(what) && window.sijillDesk ? window.sijillDesk.beside() : null;
    if (next) { // What is done to the open message goes on from it to the next one.
      await send(new URLSearchParams(data), new Set([at]), true);
      window.sijillDesk.open(next);
    } else send(new URLSearchParams(data), new Set([at]), moves(what), back());
  });

  const press = (what) => () => {
    if (list.classList.contains("picking")) {
      const button = form.querySelector(`[name=do][value="${what}"]`);
      if (button) button.click();
      return true;
    }
    const id = { archive: "archive", delete: "delete", junk: "junk", flag: "flag" }[what];
    const button = pane.querySelector(`#${id}`);
    if (button && document.body.classList.contains("reading")) {
      button.click();
      return true;
    }
    const li = window.sijillDesk && window.sijillDesk.cursor();
    if (!li) return false;
    if (what === "flag") li.querySelector(".row-flag").click();
    else {
      picked.add(li.dataset.pick);
      show();
      form.querySelector(`[name=do][value="${what}"]`).click();
    }
    return true;
  };
  window.sijillKeys = Object.assign(window.sijillKeys || {}, {
    e: press("archive"),
    "#": press("delete"),
    "!": press(form.dataset.role === "junk" ? "notjunk" : "junk"),
    s: press("flag"),
    x: () => {
      const li = window.sijillDesk && window.sijillDesk.cursor();
      if (!li) return false;
      pick(li, !picked.has(li.dataset.pick));
      anchorAt = li.dataset.at ? Number(li.dataset.at) : null;
      show();
      return true;
    },
    X: () => {
      const li = window.sijillDesk && window.sijillDesk.cursor();
      if (!li) return false;
      if (anchor) range(li);
      else { pick(li, true); show(); }
      return true;
    },
    Escape: () => {
      if (!list.classList.contains("picking")) return false;
      clear();
      return true;
    },
  });
  show();
})();
