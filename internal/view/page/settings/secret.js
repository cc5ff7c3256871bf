// What is shown once can be printed and copied.
"use strict";
(() => {
  const print = document.getElementById("print");
  print.hidden = false;
  print.addEventListener("click", () => window.print());
  const copy = document.getElementById("copy");
  const secret = document.getElementById("secret");
  if (!secret || !navigator.clipboard) return;
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(secret.textContent);
    copy.textContent = copy.dataset.done;
  });
})();
