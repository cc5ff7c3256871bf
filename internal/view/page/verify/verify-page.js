// The page round verify.js: gets the files, starts the check, shows the steps.
"use strict";
(() => {
  const page = document.querySelector("main.verify");
  const byId = (id) => document.getElementById(id);
  const entry = Number(page.dataset.entry);
  const numbers = new Intl.NumberFormat(document.documentElement.lang === "ar" ? "ar-u-nu-arab" : "en");

  // say fills numbers into a phrase, each set apart (U+2068, U+2069).
  const said = new Map(Array.from(document.querySelectorAll("#said li"), (li) => [li.dataset.name, li.textContent]));
  function say(key, values = []) {
    const phrase = said.get(key) || "";
    return values.reduce((s, v, i) => s.replaceAll(`{${i}}`, `\u2068${numbers.format(v)}\u2069`), phrase);
  }

  function report(name, state, values, value) {
    const li = page.querySelector(`[data-step="${name}"]`);
    const shown = li.querySelector(".step-value");
    li.dataset.state = state === "after" ? "skipped" : state;
    let phrase = say(`${state === "after" ? "skipped.after" : `${state}.${name}`}`, values);
    if (name === "commitment" && state === "done" && values[0] > 0) phrase = say("withheld", values);
    li.querySelector(".step-said").textContent = phrase;
    shown.textContent = value;
    shown.hidden = value === "";
  }

  // rosette draws the seal from the recomputed commitment, as the server draws
  // it from the stored one.
  function rosette(commitment) {
    const g = byId("rosette");
    g.replaceChildren();
    for (let ring = 0; ring < 2; ring++) {
      const [a, b, c, d] = commitment.subarray(ring * 4, ring * 4 + 4);
      const petals = 11 + a % 12;
      for (let i = 0; i < petals; i++) {
        const e = document.createElementNS("http://www.w3.org/2000/svg", "ellipse");
        const put = (k, v) => e.setAttribute(k, v);
        put("cx", 50);
        put("cy", 24 + 12 * ring);
        put("rx", 4 + (b % 48) / 8);
        put("ry", 10 + (c % 48) / 8);
        put("transform", `rotate(${360 * (i + d / 256) / petals} 50 50)`);
        g.append(e);
      }
    }
  }

  function show(result) {
    const box = byId("verdict");
    box.dataset.verdict = result.verdict;
    byId("verdict-word").textContent = say(result.verdict);
    const values = result.verdict === "partly" ? [result.index, result.withheld, result.units] : [result.index];
    byId("verdict-text").textContent = say(`${result.verdict}.text`, values);
    byId("rosette").parentElement.toggleAttribute("hidden", !result.commitment);
    if (result.commitment) rosette(result.commitment);
    box.hidden = false;
  }

  async function get(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(String(answer.status));
    return new Uint8Array(await answer.arrayBuffer());
  }

  const chosen = async (id) => {
    const file = byId(id).files[0];
    return file ? new Uint8Array(await file.arrayBuffer()) : null;
  };

  async function files() {
    if (entry < 0) return { proof: await chosen("file-proof"), message: await chosen("file-message") };
    const [proof, message] = await Promise.all([get(`/m/${entry}/proof`), get(`/m/${entry}/original.eml`)]);
    return { proof, message };
  }

  async function run() {
    const button = byId("run");
    button.disabled = true;
    for (const li of page.querySelectorAll("[data-step]")) delete li.dataset.state;
    try {
      const { proof, message } = await files();
      if (!proof) {
        byId("file-proof").focus();
        return;
      }
      show(await window.sijillVerify.check({ proof, message, keys: byId("key").value }, report));
    } catch {
      byId("verdict").hidden = false;
      byId("verdict").dataset.verdict = "altered";
      byId("verdict-word").textContent = say("altered");
      byId("verdict-text").textContent = say("fetch");
    } finally {
      button.disabled = false;
    }
  }

  byId("verify-form").addEventListener("submit", (e) => {
    e.preventDefault();
    run();
  });
  if (entry >= 0) run();
})();
