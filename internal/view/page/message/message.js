// Niceties of an open message: the frame of HTML mail as high as what is in it,
// and a button that prints.
"use strict";
(() => {
  function fit(frame) {
    const page = frame.contentDocument;
    if (!page || !page.body) return;
    const measure = () => {
      // A frame can't be shorter than its content once told: start from little.
      const high = Math.ceil(page.body.getBoundingClientRect().height);
      frame.style.blockSize = `${Math.min(Math.max(high, 60), 40000) + 2}px`;
    };
    measure();
    new ResizeObserver(measure).observe(page.body);
    // Keys go on working when the letter has the focus.
    page.addEventListener("keydown", (e) => {
      const copy = new KeyboardEvent("keydown", { key: e.key, bubbles: true, cancelable: true, ctrlKey: e.ctrlKey, metaKey: e.metaKey, altKey: e.altKey });
      if (!document.body.dispatchEvent(copy)) e.preventDefault();
    });
  }

  function start() {
    const frame = document.getElementById("letter");
    if (frame) {
      frame.addEventListener("load", () => fit(frame));
      if (frame.contentDocument && frame.contentDocument.readyState === "complete") fit(frame);
    }
    const print = document.getElementById("print");
    if (print) {
      print.hidden = false;
      print.addEventListener("click", () => window.print());
    }
  }

  document.addEventListener("sijill:message", start);
  start();
})();
