// Fields of recipients: each person is a piece of its own, so that Arabic names
// and Latin addresses don't run into each other, and people of one's own mail
// are offered as one types (ARIA combobox with a listbox). Without this script
// they are plain fields with addresses between commas.
"use strict";
(() => {
  const form = document.getElementById("letter-form");
  if (!form) return;
  const WAIT = 120; // milliseconds after the last key

  // split cuts a list at its commas, but not at those in quotes or brackets.
  function split(text) {
    const out = [];
    let one = "", quoted = false, angle = false;
    for (const c of text) {
      if (c === '"') quoted = !quoted;
      else if (c === "<" && !quoted) angle = true;
      else if (c === ">" && !quoted) angle = false;
      if (!quoted && !angle && ",;،؛\n".includes(c)) {
        out.push(one);
        one = "";
      } else one += c;
    }
    out.push(one);
    return out.map((s) => s.trim()).filter(Boolean);
  }

  // read takes "Name <address>" apart.
  function read(text) {
    const m = text.match(/^(.*?)\s*<([^<>]*)>$/);
    if (!m) return { name: "", addr: text };
    return { name: m[1].replace(/^"|"$/g, "").replace(/\\(.)/g, "$1"), addr: m[2].trim() };
  }

  const write = (p) => {
    if (!p.name) return p.addr;
    const name = /[",;:<>()@[\]\\]/.test(p.name) ? `"${p.name.replace(/(["\\])/g, "\\$1")}"` : p.name;
    return `${name} <${p.addr}>`;
  };
  const good = (p) => /^[^\s@<>,;]+(?:@)[^\s@<>,;]+$/.test(p.addr);

  const make = (tag, attrs, ...children) => {
    const el = document.createElement(tag);
    for (const [k, v] of Object.entries(attrs)) el.setAttribute(k, v);
    el.append(...children);
    return el;
  };

  function field(box) {
    const input = box.querySelector("input");
    const name = input.name;
    const label = box.querySelector("label");
    const held = make("input", { type: "hidden", name });
    const chips = make("ul", { class: "chips" });
    const menu = make("ul", { class: "offers", role: "listbox", id: `${name}-offers`, "aria-label": label.textContent, hidden: "" });
    const told = make("span", { class: "hidden", role: "status" });
    let people = [];
    let offered = [];
    let at = -1; // the offer that is chosen
    let timer = 0;
    let asked = 0;

    input.removeAttribute("name");
    for (const [k, v] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": menu.id })) input.setAttribute(k, v);
    const focused = document.activeElement === input; // What is moved loses the focus.
    const line = make("div", { class: "people" }, chips, input);
    box.append(line, held, menu, told);
    if (focused) input.focus({ preventScroll: true });
    line.addEventListener("click", (e) => { if (e.target === line || e.target === chips) input.focus(); });

    function keep(quiet) {
      held.value = [...people.map(write), ...split(input.value)].join(", ");
      if (!quiet) form.dispatchEvent(new CustomEvent("sijill:people", { bubbles: true }));
    }

    function draw() {
      chips.replaceChildren(...people.map((p, i) => {
        const bdi = make("bdi", {}, p.name || p.addr);
        const drop = make("button", { type: "button", class: "chip-drop", "aria-label": form.dataset.remove.replace("{0}", p.name || p.addr) }, "×");
        drop.addEventListener("click", () => { people.splice(i, 1); draw(); keep(); input.focus(); });
        const li = make("li", { class: good(p) ? "chip" : "chip chip-bad", title: good(p) ? p.addr : form.dataset.bad.replace("{0}", p.addr) }, bdi, drop);
        bdi.addEventListener("dblclick", () => { people.splice(i, 1); input.value = write(p); draw(); keep(); input.focus(); });
        return li;
      }));
    }

    function add(list) {
      for (const p of list) if (!people.some((q) => q.addr.toLowerCase() === p.addr.toLowerCase())) people.push(p);
      draw();
    }

    function take() {
      const list = split(input.value);
      input.value = "";
      close();
      if (list.length) add(list.map(read));
      keep(!list.length);
    }

    function close() {
      menu.hidden = true;
      menu.replaceChildren();
      offered = [];
      at = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function choose(i) {
      const p = offered[i];
      input.value = "";
      close();
      add([p]);
      keep();
      input.focus();
    }

    function move(to) {
      at = (to + offered.length) % offered.length;
      [...menu.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === at)));
      input.setAttribute("aria-activedescendant", menu.children[at].id);
      menu.children[at].scrollIntoView({ block: "nearest" });
    }

    async function offer() {
      const q = input.value.trim();
      const mine = ++asked;
      if (!q) return close();
      const answer = await fetch(`/compose/people?q=${encodeURIComponent(q)}`);
      if (mine !== asked || !answer.ok || answer.redirected || document.activeElement !== input) return; // Redirected: signed out.
      const list = (await answer.json()).filter((p) => !people.some((q) => q.addr.toLowerCase() === p.addr.toLowerCase()));
      if (mine !== asked) return;
      close();
      if (!list.length) return;
      offered = list;
      menu.append(...list.map((p, i) => {
        const li = make("li", { role: "option", id: `${menu.id}-${i}`, "aria-selected": "false" });
        if (p.name) li.append(make("bdi", { class: "offer-name" }, p.name), " ");
        li.append(make("bdi", { class: "offer-addr", dir: "ltr" }, p.addr));
        li.addEventListener("mousedown", (e) => { e.preventDefault(); choose(i); });
        return li;
      }));
      menu.hidden = false;
      input.setAttribute("aria-expanded", "true");
      told.textContent = form.dataset.found.replace("{0}", String(list.length));
      move(0);
    }

    input.addEventListener("input", () => {
      if (/[,;،؛\n]$/.test(input.value) && split(input.value).every((t) => good(read(t)))) return take();
      clearTimeout(timer);
      timer = setTimeout(offer, WAIT);
      keep();
    });
    input.addEventListener("paste", (e) => {
      const text = e.clipboardData && e.clipboardData.getData("text");
      if (!text || !/[,;،؛\n@]/.test(text)) return;
      e.preventDefault();
      input.value += text;
      take();
    });
    input.addEventListener("keydown", (e) => {
      if (e.isComposing || e.ctrlKey || e.metaKey) return;
      if (!menu.hidden && e.key === "ArrowDown") move(at + 1);
      else if (!menu.hidden && e.key === "ArrowUp") move(at - 1);
      else if (!menu.hidden && (e.key === "Enter" || e.key === "Tab")) choose(at);
      else if (!menu.hidden && e.key === "Escape") { close(); e.stopPropagation(); }
      else if (e.key === "Enter") take();
      else if (e.key === "Backspace" && !input.value && people.length) { people.pop(); draw(); keep(); }
      else return;
      if (e.key !== "Backspace") e.preventDefault();
    });
    // Enter never sends the form from here, even where it comes without a keydown.
    input.addEventListener("keypress", (e) => { if (e.key === "Enter") e.preventDefault(); });
    input.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== input) take(); }, 0));

    const begin = split(input.value);
    input.value = "";
    if (begin.length) add(begin.map(read));
    keep(true);
    return () => { if (input.value.trim()) take(); };
  }

  const takes = [...form.querySelectorAll(".field-people")].map(field);
  // What is left in a field when the letter is sent belongs to it.
  form.addEventListener("submit", () => takes.forEach((take) => take()), true);
})();
