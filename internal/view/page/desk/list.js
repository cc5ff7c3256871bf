// A list of any length in one scroller. Only some rows are in the page; the
// others are fetched as they come into sight, wherever the scroller is dragged.
//
// Browsers don't scroll further than some 17 million pixels, which is less than
// 500,000 rows are high. So the scroller may be shorter than the rows together:
// small movements move the rows pixel by pixel, large ones jump in proportion,
// and when all is still the scroller is put where it belongs.
"use strict";
(() => {
  const scroll = document.getElementById("scroll");
  const rows = document.getElementById("rows");
  if (!scroll || !rows || !scroll.dataset.rows) return;

  const LONGEST = 15e6; // pixels
  const AROUND = 25; // rows kept above and below what is in sight
  let total = Number(scroll.dataset.total);
  const space = scroll.querySelector(".scroll-space");
  const place = document.getElementById("place");
  const numbers = new Intl.NumberFormat(document.documentElement.dataset.numbers === "arab" ? "ar-u-nu-arab" : "en");

  let height = 0; // of a row; 0 until the list is shown for the first time: a narrow screen shows an open message alone
  let all = 0; // how high the rows are together
  let span = 0; // how high the scroller makes them
  let first = Number(scroll.dataset.from); // offset of the first row in the page
  let top = 0; // how far into "all" the upper edge of the window is
  let seen = 0; // scrollTop when we last looked
  let fetching = false;
  let again = false;
  let stale = false; // rows were to be fetched again while their height wasn't known
  let idle = 0;

  const inSight = () => Math.ceil(scroll.clientHeight / height) + 1;
  const furthest = () => Math.max(0, all - scroll.clientHeight);
  const ratio = () => furthest() / Math.max(1, span - scroll.clientHeight);
  const clamp = (x) => Math.max(0, Math.min(furthest(), x));

  function put() {
    rows.style.transform = `translateY(${scroll.scrollTop + first * height - top}px)`;
  }

  function settle() {
    if (scroll.scrollTop !== seen) return moved(); // It has been moved again; its event is on the way.
    align();
  }

  // align puts the scroller where the rows in sight belong.
  function align() {
    seen = Math.round(top / ratio());
    if (Math.abs(scroll.scrollTop - seen) >= 1) scroll.scrollTop = seen;
    seen = scroll.scrollTop;
    put();
    place.hidden = true;
  }

  function moved() {
    const by = scroll.scrollTop - seen;
    seen = scroll.scrollTop;
    if (by === 0) return;
    if (ratio() === 1 || Math.abs(by) > scroll.clientHeight) top = clamp(seen * ratio());
    else top = clamp(top + by);
    if (seen <= 0) top = 0;
    if (seen >= scroll.scrollHeight - scroll.clientHeight - 1) top = furthest();
    put();
    tell();
    clearTimeout(idle);
    idle = setTimeout(settle, 180);
    fill();
  }

  function tell() {
    if (total < 200) return;
    place.hidden = false;
    place.textContent = scroll.dataset.place
      .replace("{0}", numbers.format(Math.floor(top / height) + 1))
      .replace("{1}", numbers.format(total));
  }

  // count takes another number of rows, when messages came or went.
  function count(n) {
    if (!Number.isFinite(n) || n === total) return;
    total = n;
    scroll.dataset.total = n;
    extend();
    top = clamp(top);
  }

  function extend() {
    all = total * height;
    span = Math.min(all, LONGEST);
    space.style.blockSize = `${span}px`;
  }

  async function fill(fresh) {
    if (!height) {
      stale = stale || fresh === true;
      return;
    }
    const want = Math.max(0, Math.floor(top / height) - AROUND);
    const until = Math.min(total, want + inSight() + 2 * AROUND);
    const near = Math.floor(AROUND / 2);
    const have = first + rows.children.length;
    const low = Math.max(0, Math.floor(top / height) - near);
    const high = Math.min(total, Math.floor(top / height) + inSight() + near);
    if (fresh !== true && first <= low && high <= have) return;
    if (fetching) {
      again = again || (fresh === true ? "fresh" : "more");
      if (fresh === true) again = "fresh";
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(`${scroll.dataset.rows}&from=${want}&n=${until - want}`, { headers: { "HX-Request": "true" } });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) return;
      count(Number(answer.headers.get("Sijill-Total")));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // A row that has the focus is left where it is, so as not to lose it.
      const focused = rows.contains(document.activeElement) ? document.activeElement.closest("li") : null;
      const next = [...page.querySelectorAll("li")].map((li) =>
        focused && li.dataset.entry === focused.dataset.entry ? kept(focused, li) : document.adoptNode(li));
      const keep = new Set(next);
      for (const li of [...rows.children]) if (!keep.has(li)) li.remove();
      const at = next.indexOf(focused);
      if (at < 0) rows.append(...next);
      else {
        rows.prepend(...next.slice(0, at));
        rows.append(...next.slice(at + 1));
      }
      first = want;
      rows.start = first + 1;
      put();
      rows.dispatchEvent(new CustomEvent("sijill:rows", { bubbles: true }));
      if (window.htmx) window.htmx.process(rows);
    } finally {
      fetching = false;
      if (again) {
        const how = again;
        again = false;
        fill(how === "fresh");
      }
    }
  }

  // kept is the row that has the focus, with what its fresh copy says.
  function kept(li, copy) {
    li.className = copy.className;
    for (const name of ["data-at", "aria-posinset", "aria-setsize"]) li.setAttribute(name, copy.getAttribute(name));
    return li;
  }

  // reload fetches the rows in sight again.
  async function reload() {
    for (let wait = 0; fetching && wait < 100; wait++) await new Promise((done) => setTimeout(done, 30));
    await fill(true);
  }

  // show brings the row at an offset into sight and gives its element.
  async function show(at) {
    at = Math.max(0, Math.min(total - 1, at));
    if (!height) return rows.querySelector(`[data-at="${at}"]`);
    const y = at * height;
    if (y < top) top = clamp(y);
    else if (y + height > top + scroll.clientHeight) top = clamp(y + height - scroll.clientHeight);
    align();
    for (let tries = 0; tries < 50; tries++) {
      await fill();
      const li = rows.querySelector(`[data-at="${at}"]`);
      if (li) return li;
      await new Promise((done) => setTimeout(done, 40));
    }
    return null;
  }

  // begin measures a row when there's one to be seen, and makes the list live.
  function begin() {
    const row = rows.firstElementChild;
    height = row ? row.getBoundingClientRect().height : 0;
    if (!height) return;
    scroll.classList.add("scroll-live");
    extend();
    const at = Number(scroll.dataset.at);
    top = at > 2 ? clamp((at - 2) * height) : 0;
    align();
    fill(stale);
  }

  const pager = document.getElementById("pager");
  if (pager) pager.hidden = true;
  begin();
  scroll.addEventListener("scroll", moved, { passive: true });
  new ResizeObserver(() => {
    if (!height) return begin();
    if (!scroll.clientHeight) return; // It is hidden again.
    top = clamp(top);
    put();
    fill();
  }).observe(scroll);
  // busy is set while something is done to messages: whoever does it sees to the page.
  window.sijillList = { show, reload, busy: false, get total() { return total; } };
  document.addEventListener("sijill:news", (e) => {
    const here = e.detail.folders.find((f) => scroll.dataset.rows.endsWith(`f=${f.id}`));
    if (here && (here.total !== total || scroll.dataset.unseen !== String(here.unseen))) {
      const told = scroll.dataset.unseen !== undefined || here.total !== total;
      scroll.dataset.unseen = here.unseen;
      if (told) reload().then(() => { // An empty list is another page.
        if (total === 0 && !window.sijillList.busy && !document.body.classList.contains("reading")) location.assign(`/f/${here.id}`);
      });
    }
  });
})();
