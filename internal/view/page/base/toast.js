// What was just done is said for ten seconds, with an offer to undo it. Where
// the address of the page names it, the name goes, so that a reload doesn't say
// it again.
"use strict";
(() => {
  const LASTS = 10000; // milliseconds; while it has the focus or the pointer it stays
  const home = document.getElementById("toasts");
  if (!home) return;
  let timer = 0;

  function watch() {
    const toast = document.getElementById("toast");
    clearTimeout(timer);
    if (!toast) return;
    const hide = () => {
      if (toast.matches(":hover, :focus-within")) timer = setTimeout(hide, 2000);
      else toast.remove();
    };
    timer = setTimeout(hide, LASTS);
  }

  const here = new URL(location.href);
  if (here.searchParams.has("did")) {
    here.searchParams.delete("did");
    history.replaceState(history.state, "", here);
  }
  watch();

  // show puts the toast of an answer on the page.
  window.sijillToast = (page) => {
    const fresh = page.getElementById("toast");
    if (!fresh) return;
    home.replaceChildren(document.adoptNode(fresh));
    watch();
  };
  // sijillGo opens a page that shows the toast of an answer.
  window.sijillGo = (href, page) => {
    const to = new URL(href, location.href);
    const fresh = page.getElementById("toast");
    if (fresh) to.searchParams.set("did", fresh.dataset.did);
    location.assign(to);
  };
  window.sijillKeys = window.sijillKeys || {};
  window.sijillKeys.z = () => {
    const undo = document.getElementById("undo");
    if (!undo) return false;
    undo.click();
    return true;
  };
})();
