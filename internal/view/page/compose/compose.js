// Writing: the letter is saved as one types, files are taken by drag, the
// signature follows the identity. Everything here is done by the form without
// this script too, a little later and with a page between.
"use strict";
(() => {
  const form = document.getElementById("letter-form");
  if (!form) return;
  const state = document.getElementById("state");
  const live = document.getElementById("saved-live");
  const text = document.getElementById("text");
  const files = document.getElementById("files");
  const drop = document.getElementById("drop");
  const out = document.getElementById("signed-out");
  const PAUSE = 1500; // milliseconds without a key after which is saved
  const LONGEST = 10000; // after which is saved while one goes on typing
  const STUCK = 60000; // after which a page that is still here isn't being left
  let timer = 0;
  let first = 0; // when the first change since the last save was made
  let saving = null;
  let again = false;
  let closing = false; // the form is about to be sent: no save may come after
  let leaving = false; // it may be sent
  let left = false; // it is being sent
  let chosen = !form.dataset.fresh; // whether the person chose the identity
  const waiting = []; // files that the server hasn't got yet

  const from = () => form.querySelector("[name=from]:checked");

  // Files cost time to seal again: with large ones is saved less often.
  function changed() {
    if (!first) first = Date.now();
    live.textContent = form.dataset.unsaved;
    const heavy = state.querySelectorAll("[name=keep]").length > 0 ? 3 : 1;
    clearTimeout(timer);
    timer = setTimeout(save, Math.max(0, Math.min(PAUSE * heavy, first + LONGEST * heavy - Date.now())));
  }

  async function save() {
    clearTimeout(timer);
    if (leaving || closing) return;
    if (saving) {
      again = true;
      return saving;
    }
    saving = put();
    await saving;
    saving = null;
    if (again && !closing) {
      again = false;
      return save();
    }
  }

  async function put() {
    const sent = waiting.splice(0);
    const data = new FormData(form);
    data.delete("files");
    data.set("do", "save");
    for (const f of sent) data.append("files", f, f.name);
    first = 0;
    live.textContent = form.dataset.saving;
    try {
      const answer = await fetch("/compose", { method: "POST", headers: { "HX-Request": "true" }, body: data });
      out.hidden = answer.status !== 401;
      if (answer.status === 413) {
        live.textContent = form.dataset.large;
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const kept = state.contains(document.activeElement);
      state.replaceChildren(...[...page.body.childNodes].map((n) => document.adoptNode(n)));
      if (kept) files.focus();
      const saved = state.querySelector(".saved");
      live.textContent = saved ? saved.textContent : "";
      if (saved) history.replaceState(null, "", `/compose?draft=${saved.dataset.draft}`);
    } catch {
      waiting.unshift(...sent);
      live.textContent = form.dataset.unsaved;
      first = first || Date.now();
      clearTimeout(timer);
      timer = setTimeout(save, 5000);
    }
  }

  form.addEventListener("input", (e) => { if (e.target !== files) changed(); });
  form.addEventListener("sijill:people", () => { changed(); suggest(); });

  // Files
  function take(list) {
    const all = [...list];
    if (!all.length) return;
    if (all.reduce((n, f) => n + f.size, 0) > Number(form.dataset.max)) {
      live.textContent = form.dataset.large;
      return;
    }
    waiting.push(...all);
    if (!first) first = Date.now();
    save();
  }
  files.addEventListener("change", () => {
    take(files.files);
    files.value = "";
  });
  let over = 0;
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(name, (e) => {
    if (!e.dataTransfer || ![...e.dataTransfer.types].includes("Files")) return;
    e.preventDefault();
    if (name === "dragenter") over++;
    if (name === "dragleave") over--;
    if (name === "drop") {
      over = 0;
      take(e.dataTransfer.files);
    }
    drop.classList.toggle("dragging", over > 0);
  });
  state.addEventListener("click", (e) => {
    const button = e.target.closest("button[name=remove]");
    if (!button) return;
    e.preventDefault();
    button.closest("li").remove();
    if (!first) first = Date.now();
    save();
  });
  text.addEventListener("paste", (e) => {
    if (e.clipboardData && e.clipboardData.files.length) {
      e.preventDefault();
      take(e.clipboardData.files);
    }
  });

  // The identity
  const said = document.getElementById("as-said");
  let signature = from() ? from().dataset.signature : "";
  function identity() {
    form.dataset.class = from().dataset.class;
    const next = from().dataset.signature;
    const block = (s) => s ? `\n\n-- \n${s}` : "";
    if (signature && text.value.includes(block(signature))) text.value = text.value.replace(block(signature), () => block(next));
    else if (!signature && next && form.dataset.fresh) text.value += block(next);
    signature = next;
  }
  for (const radio of form.querySelectorAll("[name=from]")) radio.addEventListener("change", () => {
    chosen = true;
    said.textContent = "";
    identity();
  });
  async function suggest() {
    if (chosen) return;
    const to = ["to", "cc", "bcc"].map((n) => form.querySelector(`input[type=hidden][name=${n}]`).value).filter(Boolean).join(", ");
    if (!to) return;
    const answer = await fetch(`/compose/identity?to=${encodeURIComponent(to)}`);
    if (!answer.ok || answer.redirected || chosen) return; // Redirected: signed out.
    const hint = await answer.json();
    const radio = hint.from && [...form.querySelectorAll("[name=from]")].find((r) => r.value === hint.from && !r.disabled);
    if (!radio || radio.dataset.class === form.dataset.class) return;
    radio.checked = true;
    said.textContent = hint.said;
    identity();
    changed();
  }

  // Sending and leaving. What is typed stands on this page alone: it is left only
  // for a server that is there and knows who writes.
  async function ready() {
    clearTimeout(timer);
    if (saving) await saving;
    if (waiting.length) await put(); // Files go before the letter.
    if (waiting.length) return false; // They didn't arrive; it's said beside the buttons.
    let status = 0;
    try {
      status = (await fetch("/compose/people?q=", { headers: { "HX-Request": "true" }, cache: "no-store" })).status;
    } catch { /* The server is away. */ }
    out.hidden = status !== 401;
    if (status === 200) return true;
    live.textContent = form.dataset.unsaved;
    return false;
  }
  form.addEventListener("submit", async (e) => {
    if (leaving) {
      if (left) e.preventDefault(); // The second of two clicks.
      left = true;
      return;
    }
    e.preventDefault();
    if (closing) return;
    const by = e.submitter;
    closing = true;
    const may = await ready();
    closing = false;
    if (!may) {
      if (first) timer = setTimeout(save, 5000);
      return;
    }
    leaving = true;
    form.requestSubmit(by && by.isConnected ? by : document.getElementById("save"));
    setTimeout(stay, STUCK);
  });
  function stay() { leaving = left = false; }
  window.addEventListener("pageshow", (e) => { if (e.persisted) stay(); });
  document.addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key === "Enter" && !document.querySelector("dialog:modal")) {
      e.preventDefault();
      document.getElementById("send").click();
    }
  });
  const leave = document.getElementById("leave");
  window.sijillKeys = Object.assign(window.sijillKeys || {}, { Escape: () => { leave.click(); return true; } });
  leave.addEventListener("click", async (e) => {
    if (!first && !saving) return;
    e.preventDefault();
    await save();
    location.assign(leave.href);
  });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden" && first) save(); });
  window.addEventListener("beforeunload", (e) => {
    if (!leaving && (first || saving)) {
      save();
      e.preventDefault();
    }
  });

  // The wall is a dialog where there's a script.
  const wall = document.getElementById("wall");
  if (wall) {
    wall.close();
    wall.showModal();
    const back = document.getElementById("wall-back");
    const shut = (e) => {
      e.preventDefault();
      wall.close();
      history.replaceState(null, "", back.href);
      text.focus();
    };
    back.addEventListener("click", shut);
    wall.addEventListener("cancel", shut);
  }
  if (!new URL(location.href).searchParams.has("draft")) text.setSelectionRange(0, 0); // Above the signature and what is quoted.
  for (const el of document.querySelectorAll(".saved")) live.textContent = el.textContent;
})();
