// News without reloading: counts beside the folders and in the title. One tab
// listens and tells the others, since a browser opens only a few connections to
// one server.
"use strict";
(() => {
  const source = document.querySelector("meta[name=sijill-live]");
  if (!source || !window.EventSource) return;
  const numbers = new Intl.NumberFormat(document.documentElement.dataset.numbers === "arab" ? "ar-u-nu-arab" : "en");
  const channel = window.BroadcastChannel ? new BroadcastChannel("sijill-news") : null;

  function put(news) {
    for (const f of news.folders) {
      for (const a of document.querySelectorAll(`.side a[data-folder="${f.id}"]`)) {
        const count = a.querySelector(".count");
        const role = a.dataset.role;
        const n = role === "drafts" ? f.total : role === "sent" || role === "trash" ? 0 : f.unseen;
        count.hidden = n === 0;
        count.textContent = numbers.format(n);
      }
    }
    const bare = document.title.replace(/^\([^)]*\) /, "");
    document.title = news.unseen > 0 ? `(${numbers.format(news.unseen)}) ${bare}` : bare;
    document.dispatchEvent(new CustomEvent("sijill:news", { detail: news }));
  }

  function told(news) {
    put(news);
    if (channel) channel.postMessage(news);
  }

  // A browser asks again by itself when the connection breaks, but not when the
  // server has refused (too many listen already) or a proxy answers in its place.
  // Then the counts are asked for now, and the stream again later.
  function listen() {
    const stream = new EventSource(source.content);
    stream.addEventListener("counts", (e) => told(JSON.parse(e.data)));
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) ask();
    });
  }

  async function ask() {
    try {
      const answer = await fetch(source.content + "/now", { cache: "no-store" });
      if (answer.status === 204) return; // Signed out.
      if (answer.ok) told(await answer.json());
    } catch { /* The server is away. */ }
    setTimeout(listen, source.dataset.retry * 1000);
  }

  if (channel) channel.addEventListener("message", (e) => put(e.data));
  if (channel && navigator.locks) navigator.locks.request("sijill-news", () => { listen(); return new Promise(() => {}); });
  else listen();
})();
